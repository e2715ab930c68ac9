package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// A hub that lost its disk asks for everything again.
func TestAgain(t *testing.T) {
	r, dir := newFullRig(t, 600), t.TempDir()
	r.mustExport(dir)
	r.load(dir)
	r.answer(dir)
	r.add(5)
	r.mustExport(dir)
	if s := r.spans(dir); s != "601-605" {
		t.Fatalf("batches %s", s)
	}
	r.hub.entries, r.hub.head = nil, entry.Head{}
	if err := open(t, dir).Answer(r.hub.state(), true); err != nil {
		t.Fatal(err)
	}
	r.mustExport(dir)
	if s := r.spans(dir); s != "1-500 501-605 601-605" {
		t.Errorf("batches %s", s)
	}
	r.load(dir)
	r.whole()
	r.answer(dir)
	r.mustExport(dir)
	if s := r.spans(dir); s != "" || r.journal.Receipted() != 605 {
		t.Errorf("batches %s, receipted %d", s, r.journal.Receipted())
	}
	for _, text := range []string{"", "x", "-1", strings.Repeat("9", 40), "999999\n"} {
		if err := os.WriteFile(filepath.Join(r.folder(dir), stickAgain), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if r.mustExport(dir); r.spans(dir) != "" {
			t.Errorf("again %q: batches %s", text, r.spans(dir))
		}
	}
}

func TestTakeReceiptsRefuses(t *testing.T) {
	r, dir := newBareRig(t, 5), t.TempDir()
	take := func() error { return TakeReceipts(r.journal, r.options.ReceiptKey, r.device(), dir) }
	if err := take(); err != nil {
		t.Errorf("an empty stick: %v", err)
	}
	r.mustExport(dir)
	if err := take(); err != nil {
		t.Errorf("no receipt: %v", err)
	}
	now := time.Now()
	good := entry.NewReceipt(r.hub.key, r.device(), r.journal.Head(), now)
	fork := entry.NewReceipt(r.hub.key, r.device(), entry.Head{Seq: 5, Hash: entry.Hash{1}}, now)
	ahead := entry.NewReceipt(r.hub.key, r.device(), entry.Head{Seq: 6, Hash: entry.Hash{1}}, now)
	forged := entry.NewReceipt(r.options.Key, r.device(), r.journal.Head(), now)
	foreign := entry.NewReceipt(r.hub.key, "0011223344556677", r.journal.Head(), now)
	text := func(r entry.Receipt) string { raw, _ := json.Marshal(r); return string(raw) }
	for name, c := range map[string]struct{ text, says string }{
		"cut short":        {text(good)[:40], "JSON"},
		"endless":          {text(good) + strings.Repeat(" ", maxReceipt), "exceeds"},
		"forged":           {text(forged), "signature"},
		"another device's": {text(foreign), "receipt is for device"},
		"another chain's":  {text(fork), journal.ErrFork.Error()},
		"from the future":  {text(ahead), journal.ErrFork.Error()},
	} {
		if err := os.WriteFile(filepath.Join(r.folder(dir), stickReceipt), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := take(); err == nil || !strings.Contains(err.Error(), c.says) || r.journal.Receipted() != 0 {
			t.Errorf("%s: %v, receipted %d", name, err, r.journal.Receipted())
		}
	}
}

// Nothing that lies on a stick leads out of it, and nothing else on it counts.
func TestStickKeepsToItself(t *testing.T) {
	r, dir, outside := newBareRig(t, 5), t.TempDir(), t.TempDir()
	for _, name := range []string{"down", "0123456789ABCDEF", "0123456789abcdef", "x", "0123456789abcdef0"} {
		if err := os.MkdirAll(filepath.Join(dir, stickTop, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	if ids, err := s.Devices(); err != nil || !slices.Equal(ids, []string{"0123456789abcdef"}) {
		t.Errorf("devices %q, %v", ids, err)
	}
	for _, name := range []string{"1-2.batch", "0000000000000001-0000000000000002.batch.part", "0000000000000001-0000000000000002.BATCH", "._0000000000000001-0000000000000002.batch"} {
		if err := os.WriteFile(filepath.Join(dir, stickTop, "0123456789abcdef", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Batches("0123456789abcdef"); err != nil || len(list) != 0 {
		t.Errorf("batches %v, %v", list, err)
	}
	if err := os.Symlink(outside, r.folder(dir)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.export(dir); err == nil || len(files(t, outside)) != 0 {
		t.Errorf("the folder leads outside: %v, %v", err, files(t, outside))
	}
}

func TestExportEnds(t *testing.T) {
	r, dir := newBareRig(t, 5), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Export(ctx, r.journal, r.options.Key, "", dir, func(_, _ uint64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, _, err := r.export(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	empty := newBareRig(t, 0)
	if done, total, err := empty.export(dir); err != nil || done != 0 || total != 0 {
		t.Errorf("an empty journal: %d of %d, %v", done, total, err)
	}
}

// A stick is a wire that reorders nothing but ends anywhere: with any pulling out, damage and order of visits, the hub
// ends with the journal's chain.
func TestStickAtRandom(t *testing.T) {
	for seed := range uint64(4) {
		draw := rand.New(rand.NewPCG(seed, 0))
		r, dir := newBareRig(t, 0), t.TempDir()
		for range 8 {
			r.fill(draw.IntN(300))
			stop := draw.Uint64N(1200)
			ctx, cancel := context.WithCancel(t.Context())
			err := Export(ctx, r.journal, r.options.Key, "", dir, func(done, _ uint64) {
				if done >= stop {
					cancel()
				}
			})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, name := range slices.Sorted(maps.Keys(files(t, dir))) {
				if path := filepath.Join(dir, name); draw.IntN(8) == 0 {
					raw, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, raw[:draw.IntN(len(raw))], 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if draw.IntN(2) == 0 {
				r.load(dir)
				r.answer(dir)
			}
		}
		r.mustExport(dir)
		r.load(dir)
		r.whole()
	}
}

func FuzzStickReceipt(f *testing.F) {
	_, key, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(entry.NewReceipt(key, "0123456789abcdef", entry.Head{Seq: 4}, time.UnixMilli(0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	dir := f.TempDir()
	path := filepath.Join(dir, stickTop, "0123456789abcdef")
	if err := os.MkdirAll(path, 0o755); err != nil {
		f.Fatal(err)
	}
	j, err := journal.Open(f.TempDir(), journal.Options{Device: "0123456789abcdef"})
	if err != nil {
		f.Fatal(err)
	}
	defer j.Close()
	pub := key.Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(path, stickReceipt), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := TakeReceipts(j, pub, "0123456789abcdef", dir); err == nil || j.Receipted() != 0 {
			t.Errorf("an empty journal took %q", raw)
		}
	})
}
