package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

var released = wire.Release{
	Case: "2021-117", By: wire.ByPlace, From: 1, To: 2, Token: "0a1b2c3d",
	Devices: []wire.Released{{Device: "0123456789abcdef", First: 1, Last: 2, Entries: 2}},
}

// A release is a record of the log like any other: durable, once for each time that somebody asks, and in nobody's chain.
func TestRelease(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	var out bytes.Buffer
	h.opt.Log = slog.New(slog.NewTextHandler(&out, nil))
	ours := chain(t, entry.Head{}, 3, "a")
	post(t, h, bytes.NewReader(batch(t, seeded(1), ours[:2])))
	for want := uint64(2); want < 4; want++ {
		if place, err := h.Release(t.Context(), released); err != nil || place != want {
			t.Fatalf("place %d, %v, want %d", place, err, want)
		}
	}
	if !bytes.Contains(out.Bytes(), []byte("case=2021-117")) {
		t.Errorf("logged %s", &out)
	}
	h.Close()
	h = open(t, dir)
	got := records(t, h)
	if len(got) != 3 || got[1].Release == nil || fmt.Sprint(*got[1].Release) != fmt.Sprint(released) || got[1].Raw != nil || got[1].Alarm != nil || got[1].IsBatch() {
		t.Fatalf("log holds %+v", got)
	}
	if code, s, p := post(t, h, bytes.NewReader(batch(t, seeded(1), ours[2:]))); code != 200 || s.Seq != 3 {
		t.Error(code, s, p)
	}
}

// A release that is not stored is not acknowledged.
func TestReleaseThatIsNotStored(t *testing.T) {
	h := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	engineOf(h).queue.turn <- struct{}{} // somebody else's flight is under way
	if place, err := h.Release(ctx, released); !errors.Is(err, context.Canceled) || place != 0 {
		t.Errorf("place %d, %v", place, err)
	}
	<-engineOf(h).queue.turn
	if got := records(t, h); len(got) != 0 {
		t.Errorf("log holds %+v", got)
	}
}

// The log of a hub that knew no releases takes them once this one has opened it.
func TestReleaseInAnOlderLog(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	c := engineOf(h).stream.CachedInfo().Config
	c.Subjects = []string{batchSubject + "*", alarmSubject + "*"}
	if _, err := engineOf(h).js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	epoch := h.Epoch()
	h.Close()
	h = open(t, dir)
	if place, err := h.Release(t.Context(), released); err != nil || place != 1 || h.Epoch() != epoch {
		t.Errorf("place %d, %v", place, err)
	}
}
