// Package sim is a camera that draws people who show the codes they are given: they walk in with a dark phone, light
// it up, sway a little for as long as they hold it, and walk out. It stands in where there is no camera, for the demo
// and for tests.
//
// Frames are GREY and come at a real rate. A showing is counted in frames, so nobody is missed by a slow reader, and
// between two showings no code is in view for more than a second, so that the same text twice is two visits.
// It is no measure of how well codes are read: its light is even and its focus perfect.
package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatepost/device"
)

// Options of a camera; a zero one is replaced by what its comment says.
type Options struct {
	Width, Height int              // pixels: 640 x 480
	FPS           int              // frames a second: 15
	Seed          uint64           // of the noise
	Now           func() time.Time // for the frames' times: time.Now
}

// maxQueue is how many showings may wait.
const maxQueue = 32

// maxHold is how long one showing may last.
const maxHold = time.Minute

// ErrFull means that too many showings wait already.
var ErrFull = errors.New("too many people wait before the simulated camera")

// A Camera is a scanner.Camera. Next is for one goroutine, the other methods are for any.
type Camera struct {
	o      Options
	scene  *scene
	tick   *time.Ticker
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	queue []*showing
	now   *showing // nil while nobody is in view
}

// A showing is one or two people who come, hold up their codes and go, counted in frames.
type showing struct {
	codes      []code
	at         int // frames shown so far
	move, hold int // frames of coming, of going too, and between the two
}

// New returns a camera that sees an empty room.
func New(o Options) *Camera {
	if o.Width <= 0 || o.Height <= 0 {
		o.Width, o.Height = 640, 480
	}
	if o.FPS <= 0 {
		o.FPS = 15
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Camera{
		o:      o,
		scene:  newScene(o.Width, o.Height, o.Seed),
		tick:   time.NewTicker(time.Second / time.Duration(o.FPS)),
		closed: make(chan struct{}),
	}
}

// Show queues one showing: of one text by one person, or of two by two people side by side, whose codes light up in
// the same frame. The codes are lit for hold. It is an error if a text is too long for a code that can be read at this
// size, or is no UTF-8, and ErrFull if too many showings wait.
func (c *Camera) Show(texts []string, hold time.Duration) error {
	if len(texts) < 1 || len(texts) > 2 {
		return fmt.Errorf("%d people before the simulated camera: there is room for one or two", len(texts))
	}
	if hold <= 0 || hold > maxHold {
		return fmt.Errorf("show a code for %v: want more than 0 and at most %v", hold, maxHold)
	}
	s := &showing{move: (6*c.o.FPS + 9) / 10, hold: max(1, int(hold*time.Duration(c.o.FPS)/time.Second))}
	for _, text := range texts {
		code, err := encode(text, c.scene.codeSize(len(texts)))
		if err != nil {
			return err
		}
		s.codes = append(s.codes, code)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxQueue {
		return ErrFull
	}
	c.queue = append(c.queue, s)
	return nil
}

// Waiting returns how many showings are not over, the present one included. At 0 nobody is in view and nobody waits.
func (c *Camera) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != nil {
		return 1 + len(c.queue)
	}
	return len(c.queue)
}

// Clear sends away everyone who waits. Who is in view finishes.
func (c *Camera) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = nil
}

// Next waits for the next frame and fills f. After Close it returns device.ErrGone.
func (c *Camera) Next(ctx context.Context, f *device.Frame) error {
	select {
	case <-c.tick.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return fmt.Errorf("simulated camera is closed: %w", device.ErrGone)
	}
	w, h := c.o.Width, c.o.Height
	if cap(f.Data) < w*h {
		f.Data = make([]byte, w*h)
	}
	*f = device.Frame{Format: device.Grey, Width: w, Height: h, Stride: w, Data: f.Data[:w*h], At: c.o.Now()}
	c.scene.draw(f.Data, c.step())
	return nil
}

// Close ends a Next that waits, and all later ones.
func (c *Camera) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.tick.Stop()
	})
	return nil
}

// step returns what the next frame shows and moves on by it.
func (c *Camera) step() showing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil && len(c.queue) > 0 {
		c.now, c.queue = c.queue[0], c.queue[1:]
	}
	if c.now == nil {
		return showing{}
	}
	seen := *c.now
	c.now.at++
	if c.now.at == 2*c.now.move+c.now.hold {
		c.now = nil
	}
	return seen
}
