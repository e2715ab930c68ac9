package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/process"
	"gatepost/cmd/internal/prove/proof"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

const (
	clusterHubs  = 2
	clusterGates = 8
	sites        = 4               // clusters side by side: most of a kill's time is spent in waiting for an election
	electionTime = 2 * time.Minute // for a cluster to have a leader again, on a busy machine
)

// cluster kills the leader of a log of three nodes under load, again and again, and now and then a hub before it.
func cluster(ctx context.Context, p *proof.Run) (sum proof.Tally, err error) {
	kills, sites := p.Scaled(1, 104), min(sites, p.Scaled(1, sites))
	tallies := make([]proof.Tally, sites)
	group, ctx := errgroup.WithContext(ctx)
	for i := range sites {
		group.Go(func() (err error) {
			tallies[i], err = killLeaders(ctx, p, fmt.Sprintf("cluster-%d", i), kills/sites, p.Random(uint64(10+i)))
			return err
		})
	}
	err = group.Wait()
	for _, t := range tallies {
		sum.Add(t)
	}
	return sum, err
}

// killLeaders kills n leaders of one cluster.
func killLeaders(ctx context.Context, p *proof.Run, name string, n int, random *rand.Rand) (t proof.Tally, err error) {
	c, err := newNodes(ctx, p, filepath.Join(p.Work, name+"-log"), false)
	if err != nil {
		return t, err
	}
	defer c.close()
	s, err := newSite(ctx, p, name, c.urls(), clusterHubs, clusterGates)
	if err != nil {
		return t, err
	}
	defer s.close()
	if err := c.start(ctx); err != nil {
		return t, err
	}
	if err := s.start(); err != nil {
		return t, err
	}
	err = s.under(ctx, func(ctx context.Context) error {
		for round := range n {
			if err := c.killLeader(ctx, s, random); err != nil {
				return fmt.Errorf("kill %d: %w\n%s", round, err, c.logs())
			}
			t.Kills++
			if round%4 == 3 {
				h := s.hubs[random.IntN(len(s.hubs))]
				h.Kill()
				if err := h.Start(); err != nil {
					return err
				}
			}
			if (round+1)%10 == 0 {
				p.Say("%s: %d leaders killed, %d receipts, forgotten %d", name, round+1, s.book.receipts(), s.book.forgotten())
			}
		}
		return s.progress(ctx, clusterGates) // behind the last kill, too
	})
	if err != nil {
		return t, err
	}
	found, err := s.audit(ctx)
	t.Add(found)
	return t, err
}

// nodes is a NATS cluster of three servers, each a process.
type nodes struct {
	servers [3]*process.Process
	dirs    [3]string // of their stores
	clients []string  // addresses
	conn    *nats.Conn
}

// newNodes makes three nodes below dir, which do not run yet. Lazy ones do not flush what they acknowledge.
func newNodes(ctx context.Context, p *proof.Run, dir string, lazy bool) (*nodes, error) {
	program, err := p.Program(ctx, "internal/prove/node")
	if err != nil {
		return nil, err
	}
	addrs, err := demo.FreeAddrs(ownHost(), 6)
	if err != nil {
		return nil, err
	}
	c := &nodes{clients: addrs[:3]}
	for i := range c.servers {
		name := fmt.Sprintf("node-%d", i)
		c.dirs[i] = filepath.Join(dir, name)
		if err := os.MkdirAll(c.dirs[i], 0o700); err != nil {
			return nil, err
		}
		c.servers[i] = process.New(program, dir, name, "-name", name, "-dir", filepath.Join(c.dirs[i], "store"), "-listen", addrs[i],
			"-cluster", addrs[3+i], "-routes", strings.Join(addrs[3:], ","), fmt.Sprintf("-lazy=%v", lazy))
	}
	return c, nil
}

func (c *nodes) urls() string { return "nats://" + strings.Join(c.clients, ",nats://") }

// start starts the nodes that do not run, and waits until one of them can be reached: a hub that finds none ends.
func (c *nodes) start(ctx context.Context) (err error) {
	for _, s := range c.servers {
		if err := s.Start(); err != nil {
			return err
		}
	}
	if c.conn == nil {
		c.conn, err = nats.Connect(c.urls(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			return err
		}
	}
	return until(ctx, electionTime, "a node", c.conn.IsConnected)
}

// kill ends all nodes at once.
func (c *nodes) kill() {
	for _, s := range c.servers {
		s.Kill()
	}
}

func (c *nodes) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.kill()
}

func (c *nodes) logs() (tails string) {
	for _, s := range c.servers {
		tails += tail(s.Log)
	}
	return tails
}

// killLeader kills the log's leader while receipts come, and starts it again.
func (c *nodes) killLeader(ctx context.Context, s *site, random *rand.Rand) error {
	if err := s.progress(ctx, 1+random.IntN(2*len(s.gates))); err != nil {
		return err
	}
	n, err := c.lead(ctx)
	if err != nil {
		return err
	}
	c.servers[n].Kill()
	return c.servers[n].Start()
}

// lead waits until the log has a leader, and returns which node that is.
func (c *nodes) lead(ctx context.Context) (n int, err error) {
	err = until(ctx, electionTime, "a leader", func() bool {
		answer, err := c.conn.Request("$JS.API.STREAM.INFO.GATEPOST", nil, 500*time.Millisecond)
		if err != nil {
			return false
		}
		var info struct {
			Cluster struct {
				Leader string `json:"leader"`
			} `json:"cluster"`
		}
		if json.Unmarshal(answer.Data, &info) != nil {
			return false
		}
		_, err = fmt.Sscanf(info.Cluster.Leader, "node-%d", &n)
		return err == nil && n < len(c.servers)
	})
	return n, err
}
