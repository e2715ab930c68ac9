package face

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/draw"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// A gate that shows what it is told, and notes what is done to it.
type gate struct {
	mu      sync.Mutex
	state   guard.State
	changed chan struct{}
	did     []guard.Action
	err     error
}

func (g *gate) State() guard.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *gate) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *gate) Do(_ context.Context, a guard.Action) error {
	g.did = append(g.did, a)
	return g.err
}

func (g *gate) set(s guard.State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// glass is a screen that counts what it showed.
type glass struct {
	*image.RGBA
	flushed atomic.Int32
}

func (g *glass) Canvas() draw.Image    { return g.RGBA }
func (g *glass) Flush(image.Rectangle) { g.flushed.Add(1) }

// play runs a screen over a gate and lets f touch it.
func play(t *testing.T, s Scene, f func(g *gate, screen *glass, touch func(x, y int))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{state: s.State, changed: make(chan struct{})}
		screen, touches := &glass{RGBA: image.NewRGBA(wide)}, make(chan image.Point)
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() {
			p.Run(ctx, g, screen, Options{
				View: func() *image.Gray { return s.View }, Touches: touches, Zone: s.Zone,
				Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			})
		})
		synctest.Wait()
		f(g, screen, func(x, y int) { touches <- image.Pt(x, y); synctest.Wait() })
		stop()
		ended.Wait()
	})
}

func TestQuestionsAreAnsweredByTouch(t *testing.T) {
	s := asking(nil)
	s.State.Ask.Items = s.State.Ask.Items[:2]
	play(t, s, func(g *gate, _ *glass, touch func(x, y int)) {
		touch(100, 5)   // between the buttons
		touch(600, 280) // yes
		touch(600, 280) // the second ward
		touch(700, 180) // again
		touch(200, 280) // no
		touch(200, 280) // the first ward
		g.err = errors.New("not now")
		touch(200, 180) // done, which fails
		g.err = nil
		touch(200, 180) // done
		touch(700, 380) // leave
		given := guard.Action{Answer: &guard.Answer{ID: "q", Answers: map[string]any{"signs": false, "ward": "a"}}}
		if want := []guard.Action{given, given, {Leave: &guard.Leave{ID: "q"}}}; !reflect.DeepEqual(g.did, want) {
			t.Errorf("the gate did %+v", g.did)
		}
	})
}

// The next person's questions begin without the answers of the one before.
func TestAnswersAreOnePersons(t *testing.T) {
	s := asking(nil)
	s.State.Ask.Items = s.State.Ask.Items[:1]
	play(t, s, func(g *gate, _ *glass, touch func(x, y int)) {
		touch(600, 280)
		other, q := s.State, *s.State.Ask
		q.ID, other.Ask = "other", &q
		g.set(other)
		synctest.Wait()
		touch(200, 180) // where "done" would be
		if len(g.did) != 0 {
			t.Errorf("the gate did %+v", g.did)
		}
	})
}

func TestTouches(t *testing.T) {
	undoable := pictures()["undo"]
	late := pictures()["undo"]
	late.State.Recent = []guard.Recent{{Seq: 143, At: now.Add(-time.Minute), Lane: "gate-1", Verdict: entry.Admit}}
	for what, c := range map[string]struct {
		scene Scene
		x, y  int
		want  []guard.Action
	}{
		"turn":               {calm(), 600, 40, []guard.Action{{Turn: &guard.Turn{Lane: "gate-1", Direction: "out"}}}},
		"undo":               {undoable, 600, 390, []guard.Action{{Undo: &guard.Undo{Seq: 143}}}},
		"undo, too late":     {late, 600, 390, nil},
		"the guard's key":    {pictures()["stop"], 300, 200, []guard.Action{{Dismiss: &guard.Dismiss{Lane: "gate-1"}}}},
		"green stays":        {pictures()["go"], 300, 200, nil},
		"a broken one stays": {pictures()["broken"], 300, 200, nil},
	} {
		play(t, c.scene, func(g *gate, _ *glass, touch func(x, y int)) {
			touch(c.x, c.y)
			if !reflect.DeepEqual(g.did, c.want) {
				t.Errorf("%s: the gate did %+v", what, g.did)
			}
		})
	}
}

// A verdict is drawn as soon as the gate has it, and a screen at rest is drawn five times a second for its picture.
func TestVerdictIsDrawnAtOnce(t *testing.T) {
	play(t, calm(), func(g *gate, screen *glass, _ func(x, y int)) {
		before := screen.flushed.Load()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := screen.flushed.Load() - before; n < 4 || n > 6 {
			t.Errorf("%d pictures in a second", n)
		}
		g.set(pictures()["go"].State)
		synctest.Wait()
		if got := screen.RGBAAt(5, 5); got != green {
			t.Errorf("the screen's corner is %v", got)
		}
	})
}

// A part that is painted alone looks as if all had been painted.
func TestUpdatePaintsWhatIsNew(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := calm()
	dst := image.NewRGBA(wide)
	if got := p.Update(dst, s); got != wide {
		t.Errorf("first %v is new", got)
	}
	s.View = image.NewGray(image.Rect(0, 0, 160, 120))
	part := p.Update(dst, s)
	if part.Empty() || part.Dx() > wide.Dx()*2/3 {
		t.Errorf("for another view %v is new", part)
	}
	if want, _ := paint(t, wide, s); !bytes.Equal(dst.Pix, want.Pix) {
		t.Error("the view is painted differently alone")
	}
	for what, change := range map[string]func(){
		"a second":  func() { s.Now = s.Now.Add(time.Second) },
		"the state": func() { s.State.Saved++ },
		"no view":   func() { s.View = nil },
		"a verdict": func() { s.State.Shown = pictures()["go"].State.Shown },
	} {
		p.Update(dst, s)
		change()
		if got := p.Update(dst, s); got != wide {
			t.Errorf("%s: only %v is new", what, got)
		}
		if want, _ := paint(t, wide, s); !bytes.Equal(dst.Pix, want.Pix) {
			t.Errorf("%s: not all is painted", what)
		}
	}
}
