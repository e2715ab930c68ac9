// Package scanner watches a camera and tells what codes come into view.
//
// A text is told once for as long as it stays in view, and anew after it was out of view for a second. What a frame
// shows never stops it: a broken frame, or a panic while one is decoded, is a frame with no code. Only the camera's
// own errors end a Next, and what to do about those is the caller's. Frames that come while one is read are the camera's to
// drop: it delivers the newest, so a lane never falls behind.
package scanner

import (
	"context"
	"slices"
	"sync"
	"time"

	"gatepost/device"
	"gatepost/scanner/luma"
	"gatepost/scanner/qr"
)

// A Camera delivers frames. Next blocks until there is a frame newer than the last one and fills f, re-using f.Data;
// its errors are device.ErrGone, device.ErrEnd (both may be wrapped) and ctx.Err().
type Camera interface {
	Next(ctx context.Context, f *device.Frame) error
	Close() error
}

// A Sighting is what one frame showed: the texts of all its codes, each once, and the frame's time.
type Sighting struct {
	Texts []string
	At    time.Time
}

// away is how long a text must be out of view to be news again.
const away = time.Second

// A Scanner reads one camera. Its Next is for one goroutine; Seen is for any.
type Scanner struct {
	cam    Camera
	read   func(*luma.Plane) []string
	seeing func(*device.Frame, *luma.Plane)
	frame  device.Frame
	plane  luma.Plane
	last   map[string]time.Time // when each text of the last second was in view

	mu     sync.Mutex
	frames uint64
	seen   time.Time
}

// New returns a Scanner of cam, which stays the caller's to close. Seeing, where it is not nil, is shown each whole frame
// and its luma before the frame is read; both are the Scanner's again when it returns.
func New(cam Camera, seeing func(*device.Frame, *luma.Plane)) *Scanner {
	if seeing == nil {
		seeing = func(*device.Frame, *luma.Plane) {}
	}
	return &Scanner{cam: cam, seeing: seeing, read: qr.NewTracker().Read, last: map[string]time.Time{}}
}

// Next blocks until a frame holds at least one text that was not in view within the last second by the frames' own
// times, and returns all texts of that frame. It returns the camera's error as it is.
func (s *Scanner) Next(ctx context.Context) (Sighting, error) {
	for {
		if err := s.cam.Next(ctx, &s.frame); err != nil {
			return Sighting{}, err
		}
		texts, ok := s.look()
		if !ok {
			continue
		}
		s.mu.Lock()
		s.frames++
		s.seen = s.frame.At
		s.mu.Unlock()
		if s.news(texts, s.frame.At) {
			return Sighting{texts, s.frame.At}, nil
		}
	}
}

// Seen returns how many whole frames were looked at and the last one's time, for the camera's health.
// Frames that could not be decoded do not count: a camera that delivers only such is not well.
func (s *Scanner) Seen() (frames uint64, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames, s.seen
}

// look reads the frame, and tells whether it was one.
func (s *Scanner) look() (texts []string, ok bool) {
	defer func() {
		if recover() != nil {
			texts, ok = nil, false
		}
	}()
	if s.plane.Set(s.frame) != nil {
		return nil, false
	}
	s.seeing(&s.frame, &s.plane)
	return s.read(&s.plane), true
}

// news tells whether one of the texts was out of view, and remembers them all. A clock that jumps makes news of everything.
func (s *Scanner) news(texts []string, at time.Time) bool {
	for text, t := range s.last {
		if at.Sub(t).Abs() > away {
			delete(s.last, text)
		}
	}
	fresh := slices.ContainsFunc(texts, func(text string) bool {
		_, in := s.last[text]
		return !in
	})
	for _, text := range texts {
		s.last[text] = at
	}
	return fresh
}
