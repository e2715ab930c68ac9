package main

import (
	"context"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/device/lamp"
	"gatepost/device/sound"
)

// blink is how long the self-test shows a lamp.
const blink = 700 * time.Millisecond

// test lights each lamp and makes its sound, before the eyes and ears of the guard, who alone can say whether they are well.
// The turnstile is not moved: nobody is admitted by a test.
func (p *post) test(ctx context.Context) []guard.Check {
	var checks []guard.Check
	if p.lamps != nil {
		ok := true
		for _, s := range []struct {
			face  lamp.Face
			sound sound.Sound
		}{{lamp.Face(guard.Stop), sound.Stop}, {lamp.Face(guard.Ask), sound.Ask}, {lamp.Face(guard.Go), sound.In}} {
			ok = p.lamps.Set(s.face) == nil && ok
			p.player.Play(s.sound)
			select {
			case <-ctx.Done():
			case <-time.After(blink):
			}
		}
		checks = append(checks, guard.Check{OK: ok, Text: guard.Text{VI: "Đèn đỏ, vàng, xanh đã sáng?", EN: "red, amber, green: did they light?"}})
	}
	if p.c.Buzzer.Line != "" || p.c.Buzzer.PWM != "" || p.c.Speaker.Device != "" {
		checks = append(checks, guard.Check{OK: true, Text: guard.Text{VI: "Đã nghe ba tiếng?", EN: "three sounds: were they heard?"}})
	}
	return checks
}
