package main

import (
	"context"
	"log/slog"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/device/rtc"
	"gatepost/device/wall"
)

// keptTime asks the clock with a battery at the start; the zero time where it tells none that counts.
func keptTime(c *config.Kiosk, log *slog.Logger) time.Time {
	if c.RTC.Bus < 0 {
		return time.Time{}
	}
	clock, err := rtc.Open(c.RTC.Bus)
	if err == nil {
		defer clock.Close()
		var at time.Time
		if at, err = clock.Read(); err == nil {
			log.Info("time by the clock with a battery", "at", at)
			return at
		}
	}
	log.Warn("the clock with a battery tells no time", "error", err)
	return time.Time{}
}

const (
	setRTC   = 10 * time.Second // how often a better time is looked for
	driftRTC = 2 * time.Second  // how far the battery's clock may be off
)

// keepRTC sets the clock with a battery by a better one, whenever there is one and it is off.
func keepRTC(ctx context.Context, bus int, clock *wall.Clock, log *slog.Logger) {
	every(ctx, setRTC, func() {
		now, ok := clock.Fresh()
		if !ok {
			return
		}
		c, err := rtc.Open(bus)
		if err == nil {
			defer c.Close()
			var at time.Time
			if at, err = c.Read(); err == nil && now.Sub(at).Abs() <= driftRTC {
				return
			}
			err = c.Set(now)
		}
		if err != nil {
			log.Warn("the clock with a battery is not set", "error", err)
		} else {
			log.Info("the clock with a battery is set", "at", now)
		}
	})
}
