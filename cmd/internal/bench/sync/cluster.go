package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const programs = "/usr/lib/postgresql/15/bin" // of Debian's postgresql-15

// A cluster is a PostgreSQL of our own, on a socket in its folder and on no port.
type cluster struct {
	cmd     *exec.Cmd
	address string
	dir     string
}

// startCluster makes an empty cluster in the new folder dir and starts it, as the user postgres where this is root.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	if _, err := os.Stat(filepath.Join(programs, "postgres")); err != nil {
		return nil, errors.New("PostgreSQL 15 is not installed (apt-get install postgresql-15)")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	as, err := owner(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	c := &cluster{dir: data, address: fmt.Sprintf("host=%s user=bench dbname=postgres", dir)}
	c.cmd = exec.CommandContext(ctx, filepath.Join(programs, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_wal_size=2GB", "-c", "shared_buffers=128MB")
	c.cmd.SysProcAttr, c.cmd.Dir = as, dir
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGINT) } // "fast": does not wait for clients
	c.cmd.WaitDelay = 20 * time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.ready(ctx)
}

// owner gives dir to the user postgres, since PostgreSQL does not run as root, and returns how to become that user.
func owner(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// ready waits until the cluster answers.
func (c *cluster) ready(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		d, err := openDatabase(limited, c.address)
		if err == nil {
			d.close()
			return nil
		}
		select {
		case <-limited.Done():
			return errors.Join(fmt.Errorf("PostgreSQL does not answer: %w", err), c.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the cluster.
func (c *cluster) stop() error {
	c.cmd.Process.Signal(syscall.SIGINT) // an error means that it has ended already, and Wait tells how
	return c.cmd.Wait()
}

// usage adds up what the cluster's processes have used, those that have ended among them.
func (c *cluster) usage() (u usage, err error) {
	if u, err = usageOf(c.cmd.Process.Pid, true); err != nil {
		return u, err
	}
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.cmd.Process.Pid, c.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	for kid := range strings.FieldsSeq(string(kids)) {
		pid, err := strconv.Atoi(kid)
		if err != nil {
			return u, err
		}
		one, err := usageOf(pid, false)
		if err != nil {
			return u, err
		}
		u.cpu += one.cpu
		u.peak += one.peak // shared buffers count with each: an upper bound
	}
	return u, nil
}
