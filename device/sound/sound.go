// Package sound says a verdict to ears: chirps by a buzzer at a GPIO line, and chirps or recorded words by a speaker.
//
// One meaning has one sound, and none tells why somebody is refused. The newest sound cuts off the one before: at a gate
// only the person who stands there is spoken to. A sound that fails is no fault of the gate's.
package sound

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// A Sound is a meaning, and the name of the file in which a voice says it, without its ending.
type Sound string

const (
	In      Sound = "in"
	Out     Sound = "out"
	Already Sound = "already" // scanned before
	Again   Sound = "again"   // unreadable: please scan again
	Single  Sound = "single"  // one at a time, please
	Ask     Sound = "ask"     // please see the guard
	Stop    Sound = "stop"
	Broken  Sound = "broken"
)

// Words are what a voice says; those that are missing are a chirp alone.
var Words = map[Sound]string{
	In: "Mời vào", Out: "Tạm biệt", Already: "Đã quét rồi", Again: "Vui lòng quét lại", Single: "Vui lòng từng người một",
	Ask: "Vui lòng gặp bảo vệ", Stop: "Vui lòng gặp bảo vệ",
}

// A Tone is a part of a chirp; at 0 Hz it is silence.
type Tone struct {
	Hertz int
	Long  time.Duration
}

const ms = time.Millisecond

// Chirp returns the tones of a sound. Rising is in and falling is out, for those who do not look.
func Chirp(s Sound) []Tone {
	switch s {
	case In:
		return []Tone{{1500, 40 * ms}, {2000, 40 * ms}, {2700, 40 * ms}}
	case Out:
		return []Tone{{2700, 40 * ms}, {2000, 40 * ms}, {1500, 40 * ms}}
	case Stop:
		return []Tone{{400, 250 * ms}, {0, 100 * ms}, {400, 250 * ms}}
	case Broken:
		return []Tone{{400, 250 * ms}, {0, 100 * ms}, {400, 250 * ms}, {0, 100 * ms}, {400, 250 * ms}}
	}
	return []Tone{{1800, 80 * ms}, {0, 80 * ms}, {1800, 80 * ms}}
}

// A Voice makes one sound, until it is over or ctx ends.
type Voice func(ctx context.Context, s Sound) error

// A Buzzer chirps at one line: with a tone's pitch where the line has PWM, and else on and off, as a buzzer that has a
// pitch of its own needs it. It is silent when it returns.
func Buzzer(pin gpio.PinOut) Voice {
	return func(ctx context.Context, s Sound) (err error) {
		defer func() { err = errors.Join(err, pin.Out(gpio.Low)) }()
		for _, tone := range Chirp(s) {
			if err := start(pin, tone); err != nil {
				return fmt.Errorf("buzzer: %w", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(tone.Long):
			}
		}
		return nil
	}
}

func start(pin gpio.PinOut, t Tone) error {
	if t.Hertz == 0 {
		return pin.Out(gpio.Low)
	}
	if pin.PWM(gpio.DutyHalf, physic.Frequency(t.Hertz)*physic.Hertz) == nil {
		return nil
	}
	return pin.Out(gpio.High)
}

// A Player makes sounds by all its voices at once, and never waits for them. It is safe for concurrent use.
type Player struct {
	voices []Voice
	failed func(error)

	mu   sync.Mutex
	stop context.CancelFunc // ends the sound that is being made
	wg   sync.WaitGroup
}

// NewPlayer returns a player. failed, which may be nil, is told of the voices' errors.
func NewPlayer(failed func(error), voices ...Voice) *Player {
	if failed == nil {
		failed = func(error) {}
	}
	return &Player{voices: voices, failed: failed, stop: func() {}}
}

// Play cuts off the sound that is being made and begins s.
func (p *Player) Play(s Sound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silence()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	for _, voice := range p.voices {
		p.wg.Go(func() {
			if err := voice(ctx, s); err != nil {
				p.failed(err)
			}
		})
	}
}

// silence ends the sound that is being made, and waits until its voices are silent. The caller holds mu.
func (p *Player) silence() {
	p.stop()
	p.wg.Wait()
}

// Halt is silence.
func (p *Player) Halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silence()
}
