package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/internal/keyfile"
)

const config = `schema = 1
data = "data"
listen = "127.0.0.1:0"
pages = ""
`

var listens = regexp.MustCompile(`msg="hub listens" gates=(\S+)`)

// A process is a gatehub of its own.
type process struct {
	cmd     *exec.Cmd
	url     string
	roots   *x509.CertPool
	receipt ed25519.PublicKey
	token   string
	drained chan struct{} // closed when its log has ended
}

// build makes the gatehub that is measured.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "gatehub")
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "gatepost/cmd/gatehub").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build gatehub: %w: %s", err, out)
	}
	return path, nil
}

// start runs binary in the empty folder dir with so many open files (0: as many as may be) for these kiosks, and
// waits until it listens. Its log goes to dir/log.
func start(ctx context.Context, binary, dir string, files int, all []*kiosk) (*process, error) {
	if err := prepare(dir, all); err != nil {
		return nil, err
	}
	limit := "unlimited"
	if files > 0 {
		limit = strconv.Itoa(files)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `ulimit -n "$1" 2>/dev/null; exec "$2" -config "$3"`, "sh", limit, binary, filepath.Join(dir, "hub.toml"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, drained: make(chan struct{})}
	address := make(chan string, 1)
	go p.drain(errs, filepath.Join(dir, "log"), address)
	if p.url = <-address; p.url == "" {
		return nil, errors.Join(fmt.Errorf("gatehub ended, see %s", filepath.Join(dir, "log")), p.stop())
	}
	if err := p.learn(filepath.Join(dir, "data")); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// prepare writes the configuration and the devices' keys.
func prepare(dir string, all []*kiosk) error {
	devices := filepath.Join(dir, "data", "devices")
	if err := os.MkdirAll(devices, 0o700); err != nil {
		return err
	}
	for _, k := range all {
		der, err := x509.MarshalPKIXPublicKey(k.key.Public())
		if err != nil {
			return err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(devices, k.id+".pub.pem"), text, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "hub.toml"), []byte(config), 0o600)
}

// drain copies the log to a file and tells the address that stands in it; it ends with the process.
func (p *process) drain(r io.Reader, path string, address chan<- string) {
	defer close(p.drained)
	defer close(address)
	f, err := os.Create(path)
	if err == nil {
		defer f.Close()
	}
	for s, told := bufio.NewScanner(r), false; s.Scan(); {
		fmt.Fprintln(f, s.Text()) // a log that cannot be kept is no reason to stop
		if m := listens.FindStringSubmatch(s.Text()); m != nil && !told {
			address <- m[1]
			told = true
		}
	}
}

// learn reads what kiosks and pullers are handed.
func (p *process) learn(data string) error {
	ca, err := os.ReadFile(filepath.Join(data, "tls", "ca.pem"))
	if err != nil {
		return err
	}
	p.roots = x509.NewCertPool()
	p.roots.AppendCertsFromPEM(ca)
	token, err := os.ReadFile(filepath.Join(data, "token"))
	if err != nil {
		return err
	}
	p.token, _, _ = strings.Cut(string(token), "\n")
	p.receipt, err = keyfile.Public(filepath.Join(data, "receipt.pub.pem"))
	return err
}

// tls is how a kiosk speaks to the hub.
func (p *process) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: p.roots, CurvePreferences: []tls.CurveID{tls.X25519}}
}

// stop ends the hub.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended already, and Wait tells how
	<-p.drained
	return p.cmd.Wait()
}

// cpu returns the time for which the hub has computed.
func (p *process) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // proc(5): fields 14 and 15 are in 100ths of a second
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, errors.New("read the hub's times: too few")
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// peak returns the most memory that the hub has had, in bytes.
func (p *process) peak() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("read the hub's memory: %w", err)
	}
	return kib << 10, nil
}
