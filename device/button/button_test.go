package button

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// finger moves a line that is high while nobody presses.
type finger struct{ pin *gpiotest.Pin }

func (f finger) set(l gpio.Level) {
	f.pin.Lock()
	f.pin.L = l
	f.pin.Unlock()
	f.pin.EdgesChan <- l
}

func TestWatch(t *testing.T) {
	for what, c := range map[string]struct {
		play func(finger)
		want int
	}{
		"two presses": {func(f finger) {
			for range 2 {
				f.set(gpio.Low)
				time.Sleep(time.Second)
				f.set(gpio.High)
				time.Sleep(time.Second)
			}
		}, 2},
		"one that bounces": {func(f finger) {
			for range 5 {
				f.set(gpio.Low)
				time.Sleep(3 * time.Millisecond)
				f.set(gpio.High)
				time.Sleep(3 * time.Millisecond)
			}
			f.set(gpio.Low)
			time.Sleep(time.Second)
		}, 1},
		"one that is held": {func(f finger) { f.set(gpio.Low); time.Sleep(time.Minute) }, 1},
		"a spike": {func(f finger) {
			f.set(gpio.Low)
			time.Sleep(time.Millisecond)
			f.set(gpio.High)
			time.Sleep(time.Second)
		}, 0},
		"nobody": {func(finger) { time.Sleep(time.Minute) }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pin := &gpiotest.Pin{N: "IN", L: gpio.High, EdgesChan: make(chan gpio.Level, 16)}
				ctx, stop := context.WithCancel(t.Context())
				got, ended := 0, make(chan struct{})
				go func() { defer close(ended); Watch(ctx, pin, gpio.Low, func() { got++ }) }()
				synctest.Wait()
				c.play(finger{pin})
				stop()
				<-ended
				if got != c.want {
					t.Errorf("%d presses, want %d", got, c.want)
				}
			})
		})
	}
}
