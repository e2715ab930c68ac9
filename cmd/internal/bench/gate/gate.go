package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/guard/face"
	"gatepost/cmd/internal/kiosk"
	"gatepost/device/lamp"
	"gatepost/device/wall"
	"gatepost/scanner"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/hd1"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// every is the time from one person to the next: forty a minute.
const every = 1500 * time.Millisecond

// A watch notes when a person's code stood still, and when their verdict was drawn and their lamp lit. People come one after
// the other, so what comes belongs to the last of them.
type watch struct {
	mu                sync.Mutex
	began, drawn, lit time.Time
	took              []time.Duration
}

func (w *watch) coming(_ string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.drawn, w.lit = at, time.Time{}, time.Time{}
}

// note keeps that one of the two is done.
func (w *watch) note(done *time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began.IsZero() || !done.IsZero() {
		return
	}
	*done = time.Now()
	if !w.drawn.IsZero() && !w.lit.IsZero() {
		w.took = append(w.took, done.Sub(w.began))
		w.began = time.Time{}
	}
}

// panel is a screen in memory. It is told whether a verdict stands by the gate that it shows.
type panel struct {
	*kiosk.Kiosk
	canvas  *image.RGBA
	verdict bool
	watch   *watch
}

func (p *panel) State() guard.State {
	s := p.Kiosk.State()
	p.verdict = len(s.Shown) > 0 && s.Shown[0].Face == guard.Go
	return s
}

func (p *panel) Canvas() draw.Image { return p.canvas }

func (p *panel) Flush(image.Rectangle) {
	if p.verdict {
		p.watch.note(&p.watch.drawn)
	}
}

// source is a room with a scanner before it.
type source struct {
	*scanner.Scanner
	*room
}

func (s source) Next(ctx context.Context) (scanner.Sighting, error) { return s.Scanner.Next(ctx) }

// gate runs a gate for so many people and returns how long each had to wait.
func gate(ctx context.Context, w, h, people int) (took []time.Duration, err error) {
	dir, err := os.MkdirTemp(".", ".bench-gate-") // where the journal's disk is, and not in memory
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	watch := &watch{}
	texts := make(chan string)
	tick := time.NewTicker(time.Second / 15)
	defer tick.Stop()
	room := newRoom(w, h)
	room.tick, room.next, room.coming = tick.C, texts, watch.coming
	k, done, err := build(dir, key.Public().(ed25519.PublicKey), room, watch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	painter, err := face.New()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	p := &panel{Kiosk: k, canvas: image.NewRGBA(image.Rect(0, 0, 800, 480)), watch: watch}
	ended.Go(func() { k.Run(ctx) })
	ended.Go(func() {
		painter.Run(ctx, p, p, face.Options{Now: time.Now, Zone: time.UTC, Log: slog.New(slog.DiscardHandler)})
	})
	err = visit(ctx, key, people, texts)
	stop()
	ended.Wait()
	return watch.took, err
}

// visit sends people with declarations, and waits until the last has gone.
func visit(ctx context.Context, key ed25519.PrivateKey, people int, texts chan<- string) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range people + 1 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if i == people {
			return nil
		}
		text, err := hd1.Issue(key, credential.Person{Name: "Nguyễn Văn A", Birth: "1990"}, credential.Declaration{
			Form: "food-fitness", Version: 1, Issued: time.Now(), Expires: time.Now().Add(time.Hour), Tail: fmt.Sprintf("%04d", i),
			Answers: map[string]any{},
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case texts <- text:
		}
	}
	return nil
}

// build returns a gate that admits who carries a declaration of key.
func build(dir string, declarer ed25519.PublicKey, room *room, watch *watch) (k *kiosk.Kiosk, done func() error, err error) {
	const device = "0123456789abcdef"
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{Device: device})
	if err != nil {
		return nil, nil, err
	}
	m, err := memory.Open(filepath.Join(dir, "memory"), time.UTC, time.Now(), rand.Reader)
	if err != nil {
		return nil, nil, errors.Join(err, j.Close())
	}
	done = func() error { return errors.Join(m.Close(), j.Close()) }
	authority, err1 := ecdh.X25519().GenerateKey(rand.Reader)
	forms, err2 := form.Shipped()
	lamps, err3 := lamp.New(&gpiotest.Pin{N: "green"}, &gpiotest.Pin{N: "amber"}, &gpiotest.Pin{N: "red", L: gpio.Low})
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	sealer, err := entry.NewSealer(authority.PublicKey())
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	k, err = kiosk.New(kiosk.Options{
		Program: "bench", Venue: "bench", Device: device, Zone: time.UTC, Journal: j, Memory: m, Sealer: sealer, Forms: forms,
		Clock:  wall.New(wall.Options{Now: time.Now, Synced: func() bool { return true }}),
		Trust:  credential.Trust{Declarers: []ed25519.PublicKey{declarer}},
		Policy: admission.Policy{Unprovable: admission.ActionAdmit, Duplicate: time.Minute},
		Lamp: func(f guard.Face) error {
			err := lamps.Set(lamp.Face(f))
			if f == guard.Go {
				watch.note(&watch.lit)
			}
			return err
		},
		Lanes: []kiosk.Lane{{Name: "gate-1", Source: "room:", Direction: entry.In, Open: func(context.Context) (kiosk.Source, error) {
			return source{scanner.New(room, nil), room}, nil
		}}},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return k, done, nil
}
