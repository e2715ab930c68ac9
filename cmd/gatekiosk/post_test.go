package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/kiosk"
	"gatepost/device/sound"
	"gatepost/device/turnstile"
	"gatepost/storage/entry"

	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

func TestSoundOf(t *testing.T) {
	for _, c := range []struct {
		v    entry.Verdict
		r    entry.Reason
		d    entry.Direction
		want sound.Sound
	}{
		{entry.Admit, entry.ReasonDeclared, entry.In, sound.In},
		{entry.Admit, entry.ReasonLeaving, entry.Out, sound.Out},
		{entry.Refuse, entry.ReasonRefusedAnswer, entry.In, sound.Stop},
		{entry.Refuse, entry.ReasonExpired, entry.In, sound.Stop}, // as any refusal
		{entry.Look, entry.ReasonNeedsAnswers, entry.In, sound.Ask},
		{entry.Look, entry.ReasonDuplicate, entry.In, sound.Already},
		{entry.Look, entry.ReasonSeveral, entry.In, sound.Single},
		{entry.Unreadable, entry.ReasonUnknown, entry.In, sound.Again},
		{entry.Failed, entry.ReasonJournal, entry.In, sound.Broken},
	} {
		s := guard.Shown{Face: guard.FaceOf(c.v), Verdict: c.v, Reason: c.r, Direction: c.d.String()}
		if got := soundOf(s); got != c.want {
			t.Errorf("%v (%s) sounds as %q, want %q", c.v, c.r, got, c.want)
		}
	}
}

// The turnstile is for those who were admitted at its own lane, and no crowd makes a verdict wait for it.
func TestSignalOpensForTheAdmitted(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := &post{c: parse(t, ""), log: log, player: sound.NewPlayer(nil), admit: make(chan uint64, maxAdmitted), refuse: make(chan uint64, maxRefused)}
	var err error
	if p.gate, err = turnstile.New(&gpiotest.Pin{}, nil, turnstile.Options{}); err != nil {
		t.Fatal(err)
	}
	p.c.Turnstile.Lane = "gate-1"
	for _, s := range []guard.Shown{
		{Seq: 1, Lane: "gate-1", Verdict: entry.Refuse},
		{Seq: 2, Lane: "gate-2", Verdict: entry.Admit},
		{Seq: 3, Lane: "gate-1", Verdict: entry.Look},
		{Seq: 4, Lane: "gate-1", Verdict: entry.Failed},
	} {
		p.signal(s)
	}
	if len(p.admit) != 0 {
		t.Errorf("it opens for entry %d", <-p.admit)
	}
	for seq := range uint64(2 * maxAdmitted) {
		p.signal(guard.Shown{Seq: 5 + seq, Lane: "gate-1", Verdict: entry.Admit})
	}
	if got := <-p.admit; got != 5 || len(p.admit) != maxAdmitted-1 {
		t.Errorf("it opens for entry %d and %d more", got, len(p.admit))
	}
	undone := annulled{make(chan uint64)}
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { p.keepOut(ctx, undone, log) })
	for i := range uint64(maxAdmitted) {
		if got := <-undone.seq; got != 5+maxAdmitted+i { // who saw green and found it shut did not pass
			t.Errorf("entry %d does not count, want %d", got, 5+maxAdmitted+i)
		}
	}
	stop()
	ended.Wait()
}

// annulled is a gate that tells which entries are undone.
type annulled struct{ seq chan uint64 }

func (a annulled) Do(_ context.Context, d guard.Action) error { a.seq <- d.Undo.Seq; return nil }
func (annulled) State() guard.State                           { return guard.State{} }
func (annulled) Changed() <-chan struct{}                     { return nil }

// A gate with nothing beside its camera needs nothing, and one whose chip is missing says so.
func TestOpenPost(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p, err := openPost(parse(t, ""), log)
	if err != nil {
		t.Fatal(err)
	}
	var o kiosk.Options
	p.configure(&o)
	if o.Lock != nil {
		t.Errorf("a lock of no turnstile: %v", o.Lock)
	}
	o.Signal(guard.Shown{Verdict: entry.Admit})
	if err := p.halt(); err != nil {
		t.Error(err)
	}
	p, err = openPost(parse(t, "[gpio]\nchip = \"no-such-chip\"\n[turnstile]\nline = \"1\"\n"), log)
	if err == nil {
		t.Error("a chip that is not there was opened")
	}
	if err := p.halt(); err != nil {
		t.Error(err)
	}
}

// everywhere listens on every address.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6unspecified, Port: 8443} }

// A telephone is sent to an address that it can reach, and never to all of them.
func TestAddress(t *testing.T) {
	p := &page{Listener: everywhere{}}
	host, port, err := net.SplitHostPort(p.address())
	if ip := net.ParseIP(host); err != nil || port != "8443" || ip == nil || ip.IsLoopback() {
		t.Errorf("%s, %v", p.address(), err)
	}
}

// A page that others reach has a certificate and a door, and the screen's code opens it, once.
func TestPage(t *testing.T) {
	const device = "0123456789abcdef"
	if got := (*page)(nil).link(device); got != "gatepost:"+device {
		t.Errorf("without a page: %s", got)
	}
	for scheme, alone := range map[string]bool{"http": true, "https": false} {
		c := parse(t, "[console]\nlisten = \"127.0.0.1:0\"\n")
		c.Data = t.TempDir()
		p, err := openPage(c, time.Now(), alone)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		if p.scheme != scheme {
			t.Errorf("alone %v: it speaks %s", alone, p.scheme)
		}
		link := p.link(device)
		if scheme == "http" {
			if link != "gatepost:"+device {
				t.Errorf("the screen sends telephones to %s", link)
			}
			continue
		}
		ctx, stop := context.WithCancel(t.Context())
		var g errgroup.Group
		p.run(ctx, &g, annulled{}, guard.Options{Log: slog.New(slog.DiscardHandler)})
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // the fingerprint says whose it is
			VerifyConnection: func(s tls.ConnectionState) error {
				if sum := sha256.Sum256(s.PeerCertificates[0].Raw); !strings.HasSuffix(link, "#"+hex.EncodeToString(sum[:])) {
					return errors.New("another certificate")
				}
				return nil
			},
		}}}
		for _, want := range []int{http.StatusOK, http.StatusForbidden} {
			r, err := client.Get(link)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != want {
				t.Errorf("%s: %s, want %d", link, r.Status, want)
			}
			client.Jar = nil // another telephone, which saw the code before
		}
		if link == p.link(device) {
			t.Error("the screen still shows the code that was used")
		}
		client.CloseIdleConnections()
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
}
