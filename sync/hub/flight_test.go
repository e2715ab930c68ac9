package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/nats-io/nats.go"
)

// until waits for a condition that others bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came: " + what)
		}
	}
}

// crowd is a hub that knows n devices, from seeded(1) on, and a batch of each.
func crowd(t *testing.T, n int) (*Hub, [][]byte) {
	t.Helper()
	h := open(t, t.TempDir())
	h.opt.Devices = func(device string) (ed25519.PublicKey, bool) {
		for i := range n {
			if id(seeded(byte(i+1))) == device {
				return public(seeded(byte(i + 1))), true
			}
		}
		return nil, false
	}
	var raws [][]byte
	for i := range n {
		raws = append(raws, batch(t, seeded(byte(i+1)), chain(t, entry.Head{}, 2, fmt.Sprint(i))))
	}
	return h, raws
}

// gather puts all batches while nobody may lead, and lets them fly once every one of them waits.
func gather(t *testing.T, h *Hub, raws [][]byte, before func()) {
	t.Helper()
	engineOf(h).queue.turn <- struct{}{}
	var all sync.WaitGroup
	for i, raw := range raws {
		all.Go(func() {
			if s, err := h.Put(t.Context(), raw); err != nil || s.Seq != 2 || s.Device != id(seeded(byte(i+1))) {
				t.Errorf("batch %d: %+v, %v", i, s, err)
			}
		})
	}
	until(t, "all wait", func() bool { return engineOf(h).queue.length() == len(raws) })
	before()
	<-engineOf(h).queue.turn
	all.Wait()
}

func TestFlight(t *testing.T) {
	for _, c := range []struct {
		name     string
		n        int
		stale    bool // the log holds the first device's batch already, and the hub does not know
		together int  // transactions, before anybody comes again
	}{
		{"a few", minTogether - 1, false, 0},
		{"many", minTogether, false, 1},
		{"more", 40, false, 1},
		{"a few, one of them stale", 3, true, 0},
		{"many, one of them stale", minTogether + 1, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, raws := crowd(t, c.n)
			gather(t, h, raws, func() {
				if c.stale {
					other := nats.NewMsg(batchSubject + id(seeded(1)))
					other.Data = raws[0]
					if _, err := engineOf(h).js.PublishMsg(t.Context(), other); err != nil {
						t.Error(err)
					}
				}
			})
			if n := engineOf(h).queue.count; n < c.together || n > c.together && !c.stale {
				t.Errorf("%d transactions, want %d", engineOf(h).queue.count, c.together)
			}
			checkChains(t, records(t, h), map[string]uint64{}, c.n, 2)
			for _, r := range records(t, h) {
				b, err := wire.Parse(r.Raw)
				if err != nil || h.heads[b.Device].at != r.Seq {
					t.Errorf("the hub takes %d for the place of record %d, %v", h.heads[b.Device].at, r.Seq, err)
				}
			}
		})
	}
}

// checkChains returns an error unless the records are unbroken chains of n devices that all end at the sequence last.
func checkChains(t *testing.T, records []wire.Record, ends map[string]uint64, n int, last uint64) {
	t.Helper()
	heads := map[string]entry.Head{}
	for _, r := range records {
		b, err := wire.Parse(r.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if b.Before() != heads[b.Device] {
			t.Fatalf("record %d of %s goes on from %d, want %d", r.Seq, b.Device, b.Before().Seq, heads[b.Device].Seq)
		}
		heads[b.Device] = b.After()
		ends[b.Device] = b.After().Seq
	}
	if len(heads) != n {
		t.Errorf("%d devices, want %d", len(heads), n)
	}
	for device, seq := range ends {
		if seq != last {
			t.Errorf("device %s ends at %d, want %d", device, seq, last)
		}
	}
}

// Who goes away while it waits is not stored, and nobody waits for it.
func TestWithdraw(t *testing.T) {
	h, raws := crowd(t, 1)
	engineOf(h).queue.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := h.Put(ctx, raws[0])
		left <- err
	}()
	until(t, "it waits", func() bool { return engineOf(h).queue.length() == 1 })
	cancel()
	if p := (wire.Problem{}); !errors.As(<-left, &p) || p.Type != wire.ProblemStore {
		t.Errorf("%+v", p)
	}
	<-engineOf(h).queue.turn
	if n := engineOf(h).queue.length(); n != 0 || len(records(t, h)) != 0 {
		t.Errorf("%d wait, %d are stored", n, len(records(t, h)))
	}
	if s, err := h.Put(t.Context(), raws[0]); err != nil || s.Seq != 2 {
		t.Error(s, err)
	}
}

func TestTakeIsBounded(t *testing.T) {
	for _, c := range []struct{ n, size, want int }{{3, 10, 3}, {maxFlight + 1, 10, maxFlight}, {20, wire.MaxBatch, 8}, {0, 0, 0}} {
		var q queue
		for range c.n {
			q.push(&pending{msg: &nats.Msg{Data: make([]byte, c.size)}})
		}
		if got := len(q.take()); got != c.want || q.length() != c.n-c.want {
			t.Errorf("of %d of %d bytes %d were taken and %d are left, want %d", c.n, c.size, got, q.length(), c.want)
		}
	}
}

// In a crowd a flight waits for more, but not for those who do not come.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		begin := time.Now()
		if q.gather(); time.Since(begin) != gatherStep {
			t.Errorf("nobody came for %v", time.Since(begin))
		}
		ctx, end := context.WithCancel(t.Context())
		var coming sync.WaitGroup
		coming.Go(func() {
			for ctx.Err() == nil {
				q.push(&pending{})
				time.Sleep(gatherStep / 2)
			}
		})
		begin = time.Now()
		if q.gather(); time.Since(begin) != gatherSteps*gatherStep {
			t.Errorf("while others came it waited for %v", time.Since(begin))
		}
		end()
		coming.Wait()
		for q.length() < maxFlight {
			q.push(&pending{})
		}
		begin = time.Now()
		if q.gather(); time.Since(begin) != 0 {
			t.Errorf("a full flight waited for %v", time.Since(begin))
		}
	})
}

// A device that the log has nothing of costs no question; one that it may have something of is asked for.
func TestSeen(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	e, subject := engineOf(h), batchSubject+id(seeded(1))
	if !e.empty(subject) || e.empty(anySubject) {
		t.Error("an empty log is not known to be empty")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	e.queue.turn <- struct{}{}
	if _, err := e.Append(gone, subject, []byte("x"), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-e.queue.turn
	if e.empty(subject) {
		t.Error("what may have been stored passes for missing")
	}
	if _, err := h.Put(t.Context(), batch(t, seeded(1), chain(t, entry.Head{}, 2, "a"))); err != nil {
		t.Fatal(err)
	}
	h.Close()
	e = engineOf(open(t, dir))
	if m, err := e.Last(t.Context(), subject); err != nil || m.Place != 1 {
		t.Errorf("after a new start: %+v, %v", m, err)
	}
	if !e.empty(batchSubject + id(seeded(2))) {
		t.Error("a device that never came passes for known")
	}
}

func TestLanded(t *testing.T) {
	for reply, want := range map[string]uint64{
		`{"stream":"GATEPOST","seq":40,"batch":"x.1","count":3}`:                         40,
		`{"stream":"GATEPOST","seq":40,"batch":"x.1","count":2}`:                         0,
		`{"stream":"GATEPOST","seq":2,"batch":"x.1","count":3}`:                          0,
		`{"stream":"GATEPOST","seq":40}`:                                                 0,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"}}`: 0,
		`{"seq":40,"count":3,"error":{"code":503,"err_code":1,"description":"not now"}}`: 0,
		``:    0,
		`+OK`: 0,
	} {
		got, err := landed([]byte(reply), 3)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v", reply, got, err)
		}
	}
}

// One device's batches are decided one after the other; those of others do not wait.
func TestHold(t *testing.T) {
	h := open(t, t.TempDir())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	release, err := h.hold(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.hold(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second batch is decided at the same time, %v", err)
	}
	if other, err := h.hold(t.Context(), "b"); err != nil {
		t.Error(err)
	} else {
		other()
	}
	next := make(chan func())
	go func() {
		again, err := h.hold(t.Context(), "a")
		if err != nil {
			t.Error(err)
		}
		next <- again
	}()
	release()
	(<-next)()
	if len(h.busy) != 0 {
		t.Errorf("%d devices are still held", len(h.busy))
	}
}
