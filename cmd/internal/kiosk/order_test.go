package kiosk

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/order"
	"gatepost/scanner/admission"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

var _ order.Gate = (*Kiosk)(nil)

// idle reports whether an order would find the gate idle now.
func (b *bench) idle() bool {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.Idle(ctx); close(done) }()
	synctest.Wait()
	cancel()
	defer func() { <-done }()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// A gate is idle when no verdict stands, no question waits and no stick is in; a fault that stands keeps no order away,
// and somebody who never leaves does so for a while only.
func TestIdle(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b.changed = make(chan struct{}) // of this bubble
		waits := func(what string, want bool) {
			t.Helper()
			if got := b.idle(); got == want {
				t.Errorf("%s: idle %v", what, got)
			}
		}
		waits("nobody", false)
		b.change(func() { b.shown["gate-1"] = &guard.Shown{Verdict: entry.Admit} })
		waits("a verdict", true)
		b.change(func() { b.shown["gate-1"] = &guard.Shown{Verdict: entry.Failed} })
		waits("a fault", false)
		b.change(func() { b.pending["gate-1"] = &pending{} })
		waits("a question", true)
		b.change(func() { clear(b.pending) })
		b.setStick("USB: 1 / 2")
		waits("a stick", true)
		began := time.Now()
		b.Idle(context.Background())
		if time.Since(began) != maxBusy {
			t.Errorf("waited %v", time.Since(began))
		}
		b.setStick("")
		waits("nobody again", false)
	})
}

// What befell an order stands on the page until it is over, and in the journal once.
func TestTrouble(t *testing.T) {
	b := newBench(t)
	faults := func() (n int) {
		for e, err := range b.Journal.Last(100) {
			if err != nil {
				t.Fatal(err)
			}
			if f, err := entry.Decode[entry.Fault](e); err == nil && f == (entry.Fault{Part: "order", Text: "order policy 3 is taken back"}) {
				n++
			}
		}
		return n
	}
	for _, news := range []bool{true, false, false} {
		if err := b.Trouble(t.Context(), "policy", "order policy 3 is taken back", news); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(b.State().Faults, "order policy 3 is taken back") || faults() != 1 {
		t.Errorf("faults %q, %d in the journal", b.State().Faults, faults())
	}
	if err := b.Trouble(t.Context(), "policy", "", false); err != nil || slices.Contains(b.State().Faults, "order policy 3 is taken back") {
		t.Errorf("it still stands: %q, %v", b.State().Faults, err)
	}
	b.SetUplink(uplink.State{Online: true})
	if !b.Online() {
		t.Error("the hub is reached")
	}
	b.SetUplink(uplink.State{Online: true, Problem: "shut out"})
	if b.Online() {
		t.Error("a hub that does not agree counts")
	}
}

// A stick brings orders as it brings receipts; those for others are nobody's fault, and a bad one keeps no entry here.
func TestStickBringsOrders(t *testing.T) {
	s := newStickBench(t)
	issuer := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	var taken []string
	s.Order = func(raw []byte) error {
		o, err := wire.ParseOrder(raw)
		switch {
		case err != nil:
			return err
		case o.Serial == 1:
			return fmt.Errorf("%w: old", order.ErrPassed)
		case o.Serial == 13:
			return errors.New("forged")
		}
		taken = append(taken, o.String())
		return nil
	}
	put := func(device, kind string, serial uint64) {
		t.Helper()
		raw, err := wire.SignOrder(issuer, wire.Order{Kind: kind, Serial: serial, Percent: 100, Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		stick, err := uplink.OpenStick(s.stick)
		if err != nil {
			t.Fatal(err)
		}
		defer stick.Close()
		if err := stick.PutOrder(device, raw); err != nil {
			t.Fatal(err)
		}
	}
	put(s.Device, "policy", 7)
	put("", "trust", 2)
	put("", "config", 1)
	put("00000000000000b2", "policy", 9)
	s.pass(2)
	s.run(nil, func() {
		plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
		s.settle()
		if slices.Sort(taken); !slices.Equal(taken, []string{"policy 7", "trust 2"}) {
			t.Errorf("took %v", taken)
		}
		if got := s.State(); !strings.Contains(got.Stick, "2 entries copied") || strings.Contains(fmt.Sprint(got.Faults), "USB") {
			t.Errorf("the page says %q, faults %q", got.Stick, got.Faults)
		}
		unplug(t, s.port, "sda1")
		s.settle()
		put("", "update", 13)
		plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
		s.settle()
		if got := s.State(); !strings.Contains(fmt.Sprint(got.Faults), "USB: forged") || len(s.onStick()) == 0 {
			t.Errorf("faults %q, on the stick %q", got.Faults, s.onStick())
		}
	})
}

// A roster decides from the moment that it comes, with nothing begun anew; one that is missing is told.
func TestRosterAtTheGate(t *testing.T) {
	b := newBench(t)
	b.Policy.Barred, b.Policy.Unprovable, b.Policy.Forms, b.Policy.Duplicate = []string{"banned"}, admission.ActionAdmit, nil, 0
	verdict := func(card string) entry.Reason {
		b.see(t.Context(), b.lane, []string{card})
		return b.State().Recent[0].Reason
	}
	missing := "rosters of the policy that are not here yet: banned"
	b.SetRosters(nil)
	if r := verdict(cardA); r != entry.ReasonIdentity || !slices.Contains(b.State().Faults, missing) {
		t.Errorf("before it came: %s, faults %q", r, b.State().Faults)
	}
	raw, err := roster.Build(credential.Parse(cardB, credential.Trust{}).Keys(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := roster.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	b.SetRosters(roster.Set{"banned": r})
	if r := verdict(cardB); r != entry.ReasonBarred || slices.Contains(b.State().Faults, missing) {
		t.Errorf("since it came: %s, faults %q", r, b.State().Faults)
	}
}
