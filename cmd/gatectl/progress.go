package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/flash"
)

const (
	redraw = 200 * time.Millisecond // of a line on a terminal
	reline = 5 * time.Second        // of a new line elsewhere
)

// progress shows how far each card is: on a terminal in one line that changes, elsewhere in a line now and then.
type progress struct {
	out   io.Writer
	live  bool
	began time.Time

	mu    sync.Mutex
	shown time.Time
	cards []*flash.Card
	steps map[*flash.Card]flash.Step
}

func newProgress(out io.Writer, cards []*flash.Card) *progress {
	p := &progress{out: out, began: time.Now(), cards: cards, steps: map[*flash.Card]flash.Step{}}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// step notes how far one card is.
func (p *progress) step(c *flash.Card, s flash.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps[c] = s
	pause := reline
	if p.live {
		pause = redraw
	}
	if now := time.Now(); now.Sub(p.shown) >= pause {
		p.shown = now
		p.show(now)
	}
}

// show writes the line. p.mu is held.
func (p *progress) show(now time.Time) {
	var line strings.Builder
	for _, c := range p.cards {
		s := p.steps[c]
		if s.Written == 0 {
			continue
		}
		what, done := "written", s.Written
		if s.Read > 0 {
			what, done = "read back", s.Read
		}
		left := now.Sub(p.began).Seconds() * float64(2*s.Of-s.Written-s.Read) / float64(s.Written+s.Read)
		fmt.Fprintf(&line, "%s %s %d %%, about %.0f s left  ", filepath.Base(c.Path), what, 100*done/s.Of, left)
	}
	if p.live {
		fmt.Fprintf(p.out, "\r\x1b[K%s", line.String())
	} else {
		fmt.Fprintln(p.out, strings.TrimSpace(line.String()))
	}
}

// end shows the last line, whole.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(time.Now())
	if p.live {
		fmt.Fprintln(p.out)
	}
}
