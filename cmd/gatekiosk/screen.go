package main

import (
	"context"
	"image"
	"log/slog"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/guard/face"
	"gatepost/cmd/internal/supervise"
	"gatepost/device/input"
	"gatepost/device/screen"
	"gatepost/device/wall"

	"golang.org/x/sync/errgroup"
)

// runScreen shows a gate on the screen until ctx ends; a screen or a touch panel that is not there is waited for.
func runScreen(ctx context.Context, g *errgroup.Group, c *config.Kiosk, gate guard.Gate, view func(lane string) *image.Gray, clock *wall.Clock, link func() string, log *slog.Logger) {
	if c.Screen.Device == "" {
		return
	}
	sizes := make(chan [2]int, 1) // of the framebuffer, for the panel over it
	taps := make(chan image.Point)
	o := face.Options{Lane: c.Screen.Lane, Link: link, Zone: c.Zone, Log: log, Now: func() time.Time { return clock.Stamp().Wall }}
	if view != nil {
		o.View = func() *image.Gray { return view(c.Screen.Lane) }
	}
	if c.Screen.Touch != "" {
		o.Touches = taps
		g.Go(func() error { runTouch(ctx, c.Screen.Touch, sizes, taps, log); return nil })
	}
	g.Go(func() error {
		supervise.Run(ctx, log, "screen", func(ctx context.Context) error { return show(ctx, c, gate, o, sizes, taps) }, func(error) {})
		return nil
	})
}

func show(ctx context.Context, c *config.Kiosk, gate guard.Gate, o face.Options, sizes chan<- [2]int, taps <-chan image.Point) error {
	s, err := screen.Open(c.Screen.Device, c.Screen.Turn)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := face.New()
	if err != nil {
		return err
	}
	w, h := s.Size()
	select {
	case sizes <- [2]int{w, h}:
	default: // they are known
	}
	if o.Touches != nil {
		placed := make(chan image.Point)
		o.Touches = placed
		var ended errgroup.Group
		ctx, stop := context.WithCancel(ctx)
		defer ended.Wait()
		defer stop()
		ended.Go(func() error { place(ctx, s, taps, placed); return nil })
	}
	p.Run(ctx, gate, s, o)
	return nil
}

// place turns the panel's points into the canvas's.
func place(ctx context.Context, s *screen.Screen, from <-chan image.Point, to chan<- image.Point) {
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-from:
			select {
			case <-ctx.Done():
				return
			case to <- s.Place(at.X, at.Y):
			}
		}
	}
}

// runTouch reads the panel, which may be plugged in later.
func runTouch(ctx context.Context, pattern string, sizes <-chan [2]int, taps chan<- image.Point, log *slog.Logger) {
	var size [2]int
	select {
	case <-ctx.Done():
		return
	case size = <-sizes:
	}
	supervise.Run(ctx, log, "touch panel", func(ctx context.Context) error {
		path, err := input.FindNode(pattern)
		if err != nil {
			return err
		}
		panel, err := input.OpenPanel(path, size[0], size[1])
		if err != nil {
			return err
		}
		defer panel.Close()
		log.Info("touch panel", "node", path, "width", size[0], "height", size[1])
		for {
			at, err := panel.Next(ctx)
			if err != nil {
				return err
			}
			select {
			case <-ctx.Done():
			case taps <- at:
			}
		}
	}, func(error) {})
}
