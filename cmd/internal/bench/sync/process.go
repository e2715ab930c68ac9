package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/internal/selfsign"
)

// A process is a hub of its own, see child.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	dir     string
	url     string
	token   string
	roots   *x509.CertPool
	receipt ed25519.PublicKey

	exchange tls.CurveID // that kiosks choose
}

// start runs a hub over a store, in the folder dir, for these kiosks. A certificate that is there is used.
func (b *bench) start(ctx context.Context, store, dir string, kiosks []*kiosk) (*process, error) {
	p := &process{dir: dir, token: rand.Text(), exchange: tls.X25519}
	if err := p.prepare(kiosks); err != nil {
		return nil, err
	}
	args := []string{"-child", store, "-dir", dir}
	if b.profile != "" {
		args = append(args, "-profile", fmt.Sprintf("%s.%s", b.profile, strings.ReplaceAll(filepath.Base(dir), " ", "-")))
	}
	p.cmd = exec.CommandContext(ctx, b.program, args...)
	p.cmd.Stderr = os.Stderr
	p.cmd.Env = append(os.Environ(), databaseVariable+"="+b.database())
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 20 * time.Second
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if p.out.Scan(); p.out.Text() == "" {
		return nil, errors.Join(fmt.Errorf("hub over %s does not start", store), p.stop())
	}
	p.url = p.out.Text()
	return p, nil
}

// prepare writes what the child reads.
func (p *process) prepare(kiosks []*kiosk) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := selfsign.Create(p.dir, time.Now(), "127.0.0.1"); err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(p.dir, selfsign.CA))
	if err != nil {
		return err
	}
	p.roots = x509.NewCertPool()
	p.roots.AppendCertsFromPEM(ca)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	p.receipt = pub
	var devices []byte
	for _, k := range kiosks {
		devices = append(devices, k.pub...)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(p.dir, deviceFile), devices, 0o600),
		os.WriteFile(filepath.Join(p.dir, tokenFile), []byte(p.token), 0o600),
		os.WriteFile(filepath.Join(p.dir, receiptFile), key.Seed(), 0o600))
}

// tls is how a kiosk speaks to the hub.
func (p *process) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: p.roots, CurvePreferences: []tls.CurveID{p.exchange}}
}

// count asks how many entries the hub's log holds.
func (p *process) count() (int, error) {
	if _, err := fmt.Fprintln(p.in); err != nil {
		return 0, fmt.Errorf("ask the hub what it holds: %w", err)
	}
	p.out.Scan()
	n, err := strconv.Atoi(p.out.Text())
	if err != nil {
		return 0, fmt.Errorf("ask the hub what it holds: %w", err)
	}
	return n, nil
}

// stop ends the hub.
func (p *process) stop() error {
	p.in.Close()
	return p.cmd.Wait()
}

// A usage is what a process has used.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of memory
}

// usageOf reads /proc; with kids, the time of children that have ended counts as well.
func usageOf(pid int, kids bool) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	f := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:])) // proc(5): fields 14 to 17, in 100ths of a second
	if len(f) < 15 {
		return u, errors.New("read a process's times: too few")
	}
	times := f[11:13]
	if kids {
		times = f[11:15]
	}
	for _, t := range times {
		n, err := strconv.Atoi(t)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &u.peak); err != nil {
		return u, fmt.Errorf("read a process's memory: %w", err)
	}
	u.peak <<= 10
	return u, nil
}

// onDisk returns the bytes that the files below dir take. Files may go while it looks.
func onDisk(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	return n, err
}
