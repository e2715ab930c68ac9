package face

import (
	"context"
	"image"
	"image/draw"
	"log/slog"
	"time"

	"gatepost/cmd/internal/guard"
)

// A Screen shows what was drawn on a part of its canvas at each Flush.
type Screen interface {
	Canvas() draw.Image
	Flush(image.Rectangle)
}

// Options of Run. Those that are nil or empty leave away what they are for.
type Options struct {
	Lane    string
	View    func() *image.Gray // what the camera sees now
	Link    func() string      // of the guard's page, for now
	Touches <-chan image.Point // on the canvas
	Now     func() time.Time
	Zone    *time.Location
	Log     *slog.Logger
}

const (
	live = 200 * time.Millisecond // how often the camera's picture is drawn
	slow = time.Second            // how often anything is
)

// Run shows the gate on a screen and does what is touched, until ctx ends. A verdict is drawn as soon as it is there; the
// camera's picture waits for it.
func (p *Painter) Run(ctx context.Context, gate guard.Gate, screen Screen, o Options) {
	scene := Scene{Lane: o.Lane, Touch: o.Touches != nil, Zone: o.Zone}
	asked := ""
	for ctx.Err() == nil {
		changed := gate.Changed() // before the state, so that no change falls between
		scene.State, scene.Now, scene.View = gate.State(), o.Now(), nil
		if id := questionID(scene.State); id != asked {
			asked, scene.Answers, scene.Trouble = id, nil, ""
		}
		if o.Link != nil {
			scene.Link = o.Link()
		}
		if o.View != nil {
			scene.View = o.View()
		}
		screen.Flush(p.Update(screen.Canvas(), scene))
		wait := slow
		if scene.View != nil && len(scene.State.Shown) == 0 {
			wait = live
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(wait):
		case at := <-o.Touches:
			scene.touch(ctx, gate, p.areas, at, o.Log)
		}
	}
}

func questionID(s guard.State) string {
	if s.Ask == nil {
		return ""
	}
	return s.Ask.ID
}

// touch does what lies at a point.
func (s *Scene) touch(ctx context.Context, gate guard.Gate, areas []Area, at image.Point, log *slog.Logger) {
	for i := len(areas) - 1; i >= 0; i-- {
		if !at.In(areas[i].Rect) {
			continue
		}
		s.Trouble = ""
		if areas[i].Answer != nil {
			s.Answers = areas[i].Answer
		} else if err := gate.Do(ctx, areas[i].Action); err != nil {
			log.Info("a touch did nothing", "error", err)
			s.Trouble = err.Error()
		}
		return
	}
}
