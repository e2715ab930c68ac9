package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/device/slot"
)

// updateImage proves that a gate takes the systems that it should and no others, that it always starts, and that people are let
// in and their entries kept whatever becomes of an update.
func updateImage(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	u, err := newUnit(ctx, p, true)
	if err != nil {
		return t, err
	}
	defer u.close()
	if err := u.offer(ctx, 2, "good.bundle", false); err != nil {
		return u.t, err
	}
	random := p.Random(23)
	for cuts := p.Scaled(1, updateCuts); u.t.Cuts < cuts || u.t.Updates == 0; {
		if u.t.Updates > 0 {
			if err := u.renew(ctx); err != nil {
				return u.t, err
			}
		}
		if err := u.update(ctx, random, cuts); err != nil {
			return u.t, fmt.Errorf("behind cut %d: %w", u.t.Cuts, err)
		}
		u.t.Updates++
		p.Say("an update, good: version 2 stands, and %d cuts so far", u.t.Cuts)
	}
	return u.t, u.updateBadly(ctx)
}

// update lets a gate update itself, cuts the power at any moment of that, lets it go on, and so again until the new system stands.
func (u *unit) update(ctx context.Context, random *rand.Rand, cuts int) error {
	for try := false; ; {
		b, err := u.boot(ctx, try)
		if err != nil {
			return err
		}
		if u.t.Cuts < cuts {
			u.disk.arm(40 + random.IntN(300)) // a start makes about 40 writes, an update some hundreds
		}
		stands, err := u.watchUpdate(ctx, b)
		switch {
		case stands:
			u.disk.arm(0)
			err = u.pass(ctx, b)
			b.end()
			return err
		case errors.Is(err, errDark):
			try = false
			u.cut(b, random)
		case errors.Is(err, errReset):
			try = b.wantsTry()
			b.end()
			u.p.Say("it has started itself again; try %v", try)
		default:
			b.end()
			return err
		}
	}
}

// watchUpdate lets somebody come and waits until the update stands, the board starts again or the power goes.
func (u *unit) watchUpdate(ctx context.Context, b *powered) (stands bool, err error) {
	if err := u.ready(ctx, b); err != nil {
		return false, err
	}
	if err := u.pass(ctx, b); err != nil {
		return false, err
	}
	_, err = b.await(ctx, "the update goes on", func(s guard.State) bool {
		return s.System == 2 && s.Update == nil && u.starts(ctx) == slot.B
	})
	return err == nil, err
}

// starts returns the slot that the card starts.
func (u *unit) starts(ctx context.Context) slot.Slot {
	first := filepath.Join(u.dir, "autoboot")
	if u.disk.snapshot(first, startSize) != nil {
		return slot.A
	}
	raw, err := readFAT(ctx, first, 1, "autoboot.txt")
	if err != nil {
		return slot.A
	}
	s, err := slot.ParseAutoboot(raw)
	if err != nil {
		return slot.A
	}
	return s
}

// offer has the hub offer an update: the bundle of that name, said to be of that version.
func (u *unit) offer(ctx context.Context, version int, bundle string, spoil bool) error {
	name := fmt.Sprintf("%d.bundle", u.orders+1)
	raw, err := os.ReadFile(u.kit.file(bundle))
	if err != nil {
		return err
	}
	// A frame that zstd skips makes another bundle of it: one that runs already is not fetched again. Source: RFC 8878, 3.1.2.
	raw = append(raw, 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, byte(u.orders))
	dir := filepath.Join(u.dir, "hub")
	path := filepath.Join(dir, "bundles", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.MkdirAll(filepath.Join(dir, "orders"), 0o755), os.WriteFile(path, raw, 0o600)); err != nil {
		return err
	}
	body, err := u.gatectl(ctx, "order", "update", "-version", fmt.Sprint(version), "-url", "https://"+hubHost+":"+u.port+"/v1/bundles/"+name, path)
	if err != nil {
		return err
	}
	if spoil {
		raw[len(raw)/2] ^= 1
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			return err
		}
	}
	u.orders++
	file := filepath.Join(u.dir, "update.toml")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		return err
	}
	_, err = u.gatectl(ctx, "order", "sign", "-key", "keys/issuer.key", "-kind", "update", "-serial", fmt.Sprint(u.orders),
		"-out", filepath.Join(dir, "orders", fmt.Sprintf("update-%d.order", u.orders)), file)
	return err
}

// trial waits until the gate starts the board again to try another system, and starts that.
func (u *unit) trial(ctx context.Context, b *powered) (*powered, error) {
	_, err := b.await(ctx, "another system is tried", never)
	if !errors.Is(err, errReset) {
		b.end()
		return nil, err
	}
	if !b.wantsTry() {
		return nil, fmt.Errorf("it does not ask the firmware to try: %s", b.tail())
	}
	b.end()
	return u.boot(ctx, true)
}

func never(guard.State) bool { return false }

// runs makes sure that the gate works with that system.
func (u *unit) runs(ctx context.Context, b *powered, version uint64) error {
	if err := u.ready(ctx, b); err != nil {
		return err
	}
	_, err := b.await(ctx, fmt.Sprintf("version %d runs", version), func(s guard.State) bool { return s.System == version })
	return err
}

// updateBadly offers a gate that has version 2 what it must not keep.
func (u *unit) updateBadly(ctx context.Context) error {
	b, err := u.boot(ctx, false)
	if err != nil {
		return err
	}
	defer func() { b.end() }()
	if err := u.runs(ctx, b, 2); err != nil {
		return err
	}
	for _, kind := range []struct {
		name    string
		version int
		bundle  string
		spoil   bool
		says    string
	}{
		{"one that hangs", 3, "hangs.bundle", false, "version 3 was tried and did not prove itself"},
		{"one that was tampered with", 4, "good.bundle", true, "tampered"},
		{"an older one", 1, "good.bundle", false, "not newer than what this card has had"},
	} {
		if err := u.offer(ctx, kind.version, kind.bundle, kind.spoil); err != nil {
			return err
		}
		if kind.version == 3 {
			if b, err = u.trial(ctx, b); err != nil {
				return err
			}
			if _, err = b.await(ctx, "the watchdog bites", never); !errors.Is(err, errReset) {
				return err
			}
			b.end()
			if b, err = u.boot(ctx, false); err != nil {
				return err
			}
		}
		_, err := b.await(ctx, kind.says, func(s guard.State) bool { return strings.Contains(fmt.Sprint(s.Faults), kind.says) })
		if err = errors.Join(err, u.runs(ctx, b, 2), u.pass(ctx, b)); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		u.t.Updates++
		u.p.Say("an update, %s: version 2 runs", kind.name)
	}
	b.end()
	return u.finish(ctx)
}
