package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/lan"
	"gatepost/cmd/internal/selfsign"

	"golang.org/x/sync/errgroup"
)

// maxConns is how many connections others may have to the page at once: eight telephones have six each.
const maxConns = 64

// A page is the guard's page before it is served. At an address that others reach it has a certificate of its own and a
// door; on this machine alone it needs neither. A nil page is none.
type page struct {
	net.Listener
	scheme      string
	door        *guard.Door
	fingerprint string // SHA-256 of the certificate, hexadecimal; empty without one
}

// openPage listens where the configuration says; now is when a certificate that has to be made begins to count. Where it is
// not alone, others reach that address.
func openPage(c *config.Kiosk, now time.Time, alone bool) (*page, error) {
	if c.Console.Listen == "" {
		return nil, nil
	}
	p := &page{scheme: "http"}
	var pair tls.Certificate
	if !alone {
		host, _, err := net.SplitHostPort(c.Console.Listen)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(c.Data, "console")
		if err := selfsign.Create(dir, now, host); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		if pair, err = tls.LoadX509KeyPair(filepath.Join(dir, selfsign.Cert), filepath.Join(dir, selfsign.Key)); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		sum := sha256.Sum256(pair.Certificate[0])
		p.scheme, p.fingerprint, p.door = "https", hex.EncodeToString(sum[:]), guard.NewDoor(time.Now)
	}
	var err error
	if p.Listener, err = net.Listen("tcp", c.Console.Listen); err != nil {
		return nil, err
	}
	if p.door != nil {
		p.Listener = tls.NewListener(lan.Bounded(p.Listener, maxConns), &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	return p, nil
}

func (p *page) close() {
	if p != nil {
		p.Close()
	}
}

// shut sends the telephones out at the end of a shift.
func (p *page) shut() {
	if p != nil && p.door != nil {
		p.door.Shut()
	}
}

// run serves the page until ctx ends.
func (p *page) run(ctx context.Context, g *errgroup.Group, gate guard.Gate, o guard.Options) {
	if p == nil {
		return
	}
	o.Door = p.door
	g.Go(func() error { return guard.Serve(ctx, p.Listener, guard.Console(gate, o)) })
	o.Log.Info("guard's page", "url", p.scheme+"://"+p.address()+"/", "certificate", p.fingerprint)
}

// link is what the screen's code says: how a telephone comes in, with the certificate's fingerprint behind it, or, where no
// telephone can reach the page, whose gate this is.
func (p *page) link(device string) string {
	if p == nil || p.door == nil {
		return "gatepost:" + device
	}
	return "https://" + p.address() + p.door.Path() + "#" + p.fingerprint
}

// address is where a telephone finds the page: where it listens everywhere, at an address of this machine, which may change.
func (p *page) address() string {
	at, ok := p.Addr().(*net.TCPAddr)
	if !ok || !at.IP.IsUnspecified() {
		return p.Addr().String()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return at.String()
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			return fmt.Sprintf("%s:%d", ip.IP, at.Port)
		}
	}
	return at.String()
}
