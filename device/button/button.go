// Package button tells when somebody presses a button: a contact at one GPIO line.
//
// A press counts when it is made and not again until the button was let go for a moment, however the contact bounces.
package button

import (
	"context"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// settle is how long a contact may bounce.
const settle = 20 * time.Millisecond

// look is how often the line is looked at when no edge comes, and how late the end of a context may be noticed.
const look = 200 * time.Millisecond

// Watch calls press for each press, one at a time, until ctx ends. The line was set up for both edges by its caller;
// pressed is its level while the button is down. A button that is down at the start counts from its next press on.
func Watch(ctx context.Context, line gpio.PinIn, pressed gpio.Level, press func()) {
	down := line.Read() == pressed
	for ctx.Err() == nil {
		if line.WaitForEdge(look) {
			for line.WaitForEdge(settle) && ctx.Err() == nil { // it bounces
			}
		}
		now := line.Read() == pressed
		if now && !down && ctx.Err() == nil {
			press()
		}
		down = now
	}
}
