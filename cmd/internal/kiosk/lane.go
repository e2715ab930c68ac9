package kiosk

import (
	"context"
	"errors"
	"time"

	"gatepost/device"
	"gatepost/scanner"
	"gatepost/scanner/credential/shc"
	"gatepost/storage/entry"
)

// A Source gives what stands before a lane, one new sight at a time. Its errors are device.ErrGone (try again
// later), device.ErrEnd (no more will come) and the context's.
type Source interface {
	Next(context.Context) (scanner.Sighting, error)
	Close() error
}

// A camera is a Source that can say whether frames come at all, what ails them, and when anything came.
type camera interface {
	Seen() (frames uint64, last time.Time)
	Trouble() string
	Beat() time.Time
}

// noFrames is how long a camera may give no frame before the lane counts as broken.
const noFrames = 3 * time.Second

// lane is a Lane at work. Its fields below Lane belong to the kiosk's lock.
type lane struct {
	Lane
	source Source // nil while it is gone
	known  bool   // whether ok was ever found out
	ok     bool
	text   string    // why it is not ok
	frames uint64    // at the last check
	moved  time.Time // when frames last grew

	turned time.Time // the time in the schedule that gave the lane its direction, or that the guard's turn came after
	wrong  uint8     // of the last eight people, a bit each: who seemed to go the other way

	chunks shc.Joiner // work's own

	began  time.Time // since when the source is being opened, or the lane is busy with somebody; zero: it is not
	opened time.Time
}

// work opens the lane's source and sees to everyone who comes, until the source fails or ctx ends.
func (k *Kiosk) work(ctx context.Context, l *lane) error {
	k.busy(l, true)
	defer k.busy(l, false)
	source, err := l.Open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	k.change(func() { l.source, l.frames, l.moved, l.opened = source, 0, time.Now(), time.Now() })
	defer k.change(func() { l.source = nil })
	k.busy(l, false)
	if _, isCamera := source.(camera); !isCamera {
		k.setLane(ctx, l, true, "")
	}
	for {
		s, err := source.Next(ctx)
		if errors.Is(err, device.ErrEnd) {
			k.setLane(ctx, l, true, "no more pictures")
			return nil
		}
		if err != nil {
			return err
		}
		k.busy(l, true)
		if texts := k.badges(ctx, l, k.join(l, k.parts(l, s.Texts))); len(texts) > 0 {
			k.see(ctx, l, texts)
		}
		k.busy(l, false)
	}
}

// busy notes that the lane is at something that ends soon, if it does not hang.
func (k *Kiosk) busy(l *lane, busy bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.began = time.Time{}
	if busy {
		l.began = time.Now()
	}
}

// checkLane notices a camera whose frames come, or no longer come.
func (k *Kiosk) checkLane(ctx context.Context, l *lane) {
	k.mu.Lock()
	cam, isCamera := l.source.(camera)
	k.mu.Unlock()
	if !isCamera {
		return
	}
	frames, _ := cam.Seen()
	k.mu.Lock()
	if frames != l.frames {
		l.frames, l.moved = frames, time.Now()
	}
	still := time.Since(l.moved)
	k.mu.Unlock()
	switch {
	case still > noFrames:
		k.setLane(ctx, l, false, "the camera gives no frames")
	case frames > 0:
		k.setLane(ctx, l, true, cam.Trouble())
	}
}

// setLane notes the lane's health, and keeps an entry when it turns; that a lane works from the start is no news.
func (k *Kiosk) setLane(ctx context.Context, l *lane, ok bool, text string) {
	k.mu.Lock()
	same, news := l.known && l.ok == ok && l.text == text, !ok
	if l.known {
		news = l.ok != ok
	}
	k.mu.Unlock()
	if same {
		return
	}
	k.change(func() { l.known, l.ok, l.text = true, ok, text })
	if news {
		k.Log.Info("lane", "name", l.Name, "ok", ok, "text", text)
		k.keepFault(ctx, entry.Fault{Part: "camera", Text: l.Name + ": " + text, Clear: ok})
	}
}
