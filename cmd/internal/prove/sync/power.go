package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/prove/proof"

	"golang.org/x/sync/errgroup"
)

const noticeTime = 90 * time.Second // for the control's loss to show

// power cuts the power of a log under load, with disks that lose what was not flushed: of all three nodes of a cluster at
// once, and of a hub with the log in its own folder. The control is a cluster that does not flush what it acknowledges.
func power(ctx context.Context, p *proof.Run) (sum proof.Tally, err error) {
	tallies := make([]proof.Tally, 2)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		tallies[0], err = cutCluster(ctx, p, p.Random(20))
		return err
	})
	group.Go(func() (err error) {
		tallies[1], err = cutHub(ctx, p, p.Random(21))
		return err
	})
	if p.N > 0 {
		group.Go(func() error { return lazyControl(ctx, p, p.Random(22)) })
	}
	err = group.Wait()
	for _, t := range tallies {
		sum.Add(t)
	}
	return sum, err
}

// A plant is a site with the disks on which its log lies.
type plant struct {
	*site
	*nodes // nil: the log is in the hub
	disks  []*volatile
}

// newCluster makes a cluster of three disks and its hubs, and starts them.
func newCluster(ctx context.Context, p *proof.Run, name string, lazy bool) (*plant, error) {
	n, err := newNodes(ctx, p, filepath.Join(p.Work, name+"-log"), lazy)
	if err != nil {
		return nil, err
	}
	s, err := newSite(ctx, p, name, n.urls(), clusterHubs, clusterGates)
	if err != nil {
		return nil, err
	}
	l := &plant{site: s, nodes: n}
	return l, l.install(ctx, n.dirs[:]...)
}

// install mounts a disk at each folder and starts everything.
func (l *plant) install(ctx context.Context, dirs ...string) error {
	for _, dir := range dirs {
		d, err := newVolatile(ctx, dir)
		if d != nil {
			l.disks = append(l.disks, d)
		}
		if err != nil {
			return err
		}
	}
	return l.on(ctx)
}

func (l *plant) on(ctx context.Context) error {
	if l.nodes != nil {
		if err := l.nodes.start(ctx); err != nil {
			return err
		}
	}
	return l.site.start()
}

// cut lets all disks lose their power at the same moment, and with it everything that runs on them; hubs before a cluster go
// down with it when the chance says so.
func (l *plant) cut(ctx context.Context, random *rand.Rand, keep float64, hubs bool) error {
	l.tending.Lock()
	defer l.tending.Unlock()
	if l.nodes != nil {
		l.nodes.kill()
	}
	if l.nodes == nil || hubs {
		for _, h := range l.hubs {
			h.Kill()
		}
	}
	for _, d := range l.disks {
		if err := d.cut(ctx, random, keep); err != nil {
			return err
		}
		if err := d.on(ctx); err != nil {
			return err
		}
	}
	return l.on(ctx)
}

func (l *plant) close() {
	l.site.close()
	if l.nodes != nil {
		l.nodes.close()
	}
	for _, d := range l.disks {
		if err := d.off(context.Background()); err != nil {
			l.p.Say("%s: a disk stays: %v", l.name, err)
		}
	}
}

// cuts cuts the power n times under load and audits everything in the end.
func (l *plant) cuts(ctx context.Context, n int, random *rand.Rand) (t proof.Tally, err error) {
	err = l.under(ctx, func(ctx context.Context) error {
		keep := 0.0 // of what nobody flushed, at the first cut
		for range n {
			if err := l.progress(ctx, 1+random.IntN(4*len(l.gates))); err != nil {
				return err
			}
			if err := l.cut(ctx, random, keep, random.IntN(2) == 0); err != nil {
				return err
			}
			keep = random.Float64()
			t.Cuts++
			l.p.Say("%s: power cut %d behind %d receipts, forgotten %d", l.name, t.Cuts, l.book.receipts(), l.book.forgotten())
		}
		return l.progress(ctx, len(l.gates))
	})
	if err != nil {
		return t, err
	}
	found, err := l.audit(ctx)
	t.Add(found)
	return t, err
}

// cutCluster cuts all three nodes at once.
func cutCluster(ctx context.Context, p *proof.Run, random *rand.Rand) (proof.Tally, error) {
	l, err := newCluster(ctx, p, "power", false)
	if l != nil {
		defer l.close()
	}
	if err != nil {
		return proof.Tally{}, err
	}
	return l.cuts(ctx, p.Scaled(1, 12), random)
}

// cutHub cuts a hub whose log is in its own folder.
func cutHub(ctx context.Context, p *proof.Run, random *rand.Rand) (proof.Tally, error) {
	s, err := newSite(ctx, p, "power-hub", "", 1, clusterGates)
	if err != nil {
		return proof.Tally{}, err
	}
	l := &plant{site: s}
	defer l.close()
	if err := l.install(ctx, s.data...); err != nil {
		return proof.Tally{}, err
	}
	return l.cuts(ctx, p.Scaled(3, 30), random)
}

// lazyControl cuts a cluster that flushes every two minutes only: that it then forgets what was signed must show.
func lazyControl(ctx context.Context, p *proof.Run, random *rand.Rand) error {
	l, err := newCluster(ctx, p, "power-control", true)
	if l != nil {
		defer l.close()
	}
	if err != nil {
		return err
	}
	noticed := errors.New("noticed")
	err = l.under(ctx, func(ctx context.Context) error {
		if err := l.progress(ctx, 4*len(l.gates)); err != nil {
			return err
		}
		if err := l.cut(ctx, random, 0, true); err != nil {
			return err
		}
		if err := until(ctx, noticeTime, "the loss", func() bool { return l.book.forgotten() > 0 }); err != nil {
			return fmt.Errorf("control: a log that does not flush lost nothing that was noticed, so the proof proves nothing: %w", err)
		}
		return noticed
	})
	if errors.Is(err, noticed) {
		p.Say("control: a cluster that does not flush forgot %d signed entries, which is noticed", l.book.forgotten())
		return nil
	}
	return err
}
