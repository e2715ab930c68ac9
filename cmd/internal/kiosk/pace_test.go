package kiosk

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/device/sim"
	"gatepost/scanner"
	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

// wait lets time go by for the kiosk and for its clock.
func (b *bench) wait(d time.Duration) {
	time.Sleep(d)
	b.pass(d)
	synctest.Wait()
}

// standing returns how long what is shown at the lane stands, in steps of a tenth of a second.
func (b *bench) standing(most time.Duration) time.Duration {
	for d := time.Duration(0); d < most; d += 100 * time.Millisecond {
		if len(b.State().Shown) == 0 {
			return d
		}
		b.wait(100 * time.Millisecond)
	}
	return most
}

// A verdict stands as long as its kind is to, and no longer when the guard or the next person comes.
func TestHowLongAVerdictStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		declaration := b.declare(b.healthy(), morning)
		for _, c := range []struct {
			what, text string
			want       time.Duration
		}{
			{"go", declaration, time.Second},
			{"already in", declaration, 2 * time.Second},
			{"ask", cardB, 4 * time.Second},
			{"unreadable", "Xin chào", 4 * time.Second},
			{"stop", b.declare(b.healthy("signs"), morning), 4 * time.Second},
		} {
			b.wait(6 * time.Second) // past the time in which the same person is not even noticed
			b.show(c.text)
			if got := b.standing(time.Minute); got != c.want {
				t.Errorf("%s stands %v, want %v", c.what, got, c.want)
			}
		}
		b.wait(10 * time.Minute)
		b.show(cardA)
		b.wait(500 * time.Millisecond)
		b.show(cardB) // ends the verdict before it at once
		if s := b.State().Shown; len(s) != 1 || s[0].Who != "Bích 85 …202" {
			t.Errorf("shown: %+v", s)
		}
		b.wait(3900 * time.Millisecond) // the first one's end must not end it
		if len(b.State().Shown) != 1 {
			t.Error("a verdict ended with the one before it")
		}
		if err := b.Press(t.Context(), KeySeen); err != nil || len(b.State().Shown) != 0 {
			t.Errorf("the guard has seen it: %v, %+v", err, b.State().Shown)
		}
		b.Journal.Close()
		b.show(cardB)
		if b.wait(time.Hour); len(b.State().Shown) != 1 {
			t.Error("a broken gate looks ready")
		}
	})
}

// The same person is not noticed for five seconds, then "already in" for the window, then a visitor again; the other way,
// or another code of the same person, is no way round.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Policy = admission.Policy{Unprovable: "admit", Duplicate: time.Minute}
		b.want("first", b.show(cardA), entry.Admit, entry.ReasonIdentity)
		for range 4 {
			b.wait(time.Second)
			if r := b.show(cardA); r != nil {
				t.Errorf("noticed again: %+v", r)
			}
		}
		b.wait(time.Second)
		b.want("after five seconds", b.show(cardA), entry.Look, entry.ReasonDuplicate)
		b.want("as a declaration", b.show(b.declare(b.healthy(), morning)), entry.Look, entry.ReasonDuplicate)
		b.wait(54 * time.Second)
		b.want("the window's last second", b.show(cardA), entry.Look, entry.ReasonDuplicate)
		b.wait(time.Second)
		b.want("after the window", b.show(cardA), entry.Admit, entry.ReasonPassback)
		b.lane.Direction = entry.Out
		b.want("out at once", b.show(cardA), entry.Admit, entry.ReasonLeaving)
		b.lane.Direction = entry.In
		b.want("and in at once", b.show(cardA), entry.Admit, entry.ReasonIdentity)
		b.want("two people side by side", b.show(cardA, cardB), entry.Look, entry.ReasonSeveral)
		b.want("two codes of one person", b.show(cardB, cardB), entry.Admit, entry.ReasonIdentity)
	})
}

// crowd opens a lane at which forty people a minute show their cards to a camera, one every second and a half.
func crowd(name string, people int) (Lane, *sim.Camera, []string) {
	cam := sim.New(sim.Options{Width: 320, Height: 240, FPS: 10})
	texts := make([]string, people)
	for i := range texts {
		texts[i] = fmt.Sprintf("001%s%08d||Nguyễn Văn A|01011990|Nam|Xã Mẫu|01012022", name[len(name)-1:], i)
	}
	return Lane{Name: name, Direction: entry.In, Open: func(context.Context) (Source, error) {
		return newEye(scanner.Camera(cam), cam.Close), nil
	}}, cam, texts
}

// Four lanes take forty people a minute each, all at the same time, and miss nobody: GATEPOST_PACE says for how many
// seconds of simulated time, 3600 in make bench-gate.
func TestFourLanes(t *testing.T) {
	seconds := 6
	if s := os.Getenv("GATEPOST_PACE"); s != "" {
		seconds, _ = strconv.Atoi(s)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Policy = admission.Policy{Unprovable: "admit", Duplicate: time.Minute}
		var mu sync.Mutex
		went := map[string]int{}
		b.Signal = func(s guard.Shown) {
			mu.Lock()
			defer mu.Unlock()
			if s.Verdict == entry.Admit && s.Seq > 0 {
				went[s.Lane]++
			}
		}
		people := seconds * 40 / 60
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		b.lanes = nil
		for i := range 4 {
			l, cam, texts := crowd(fmt.Sprintf("gate-%d", i+1), people)
			b.lanes = append(b.lanes, &lane{Lane: l})
			ended.Go(func() {
				for _, text := range texts {
					if err := cam.Show([]string{text}, 300*time.Millisecond); err != nil {
						t.Errorf("%s: %v", l.Name, err)
					}
					time.Sleep(1500 * time.Millisecond)
				}
			})
		}
		ended.Go(func() { b.runLanes(ctx) })
		time.Sleep(time.Duration(people)*1500*time.Millisecond + 2*time.Second)
		stop()
		ended.Wait()
		t.Logf("%d seconds: admitted %v", seconds, went)
		for i := range 4 {
			if name := fmt.Sprintf("gate-%d", i+1); went[name] != people {
				t.Errorf("%s: %d of %d people passed", name, went[name], people)
			}
		}
		if got := b.State(); strings.Join(got.Faults, "") != "" || b.Journal.Stats().Saved < 4*people {
			t.Errorf("faults %q, saved %d", got.Faults, b.Journal.Stats().Saved)
		}
	})
}
