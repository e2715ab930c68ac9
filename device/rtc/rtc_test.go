package rtc

import (
	"errors"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"
)

// registers is what a chip answers that keeps the time in r, with so much in its status.
func registers(r [7]byte, status byte) []byte {
	return append(append(r[:], make([]byte, 8)...), status)
}

func TestRead(t *testing.T) {
	for what, c := range map[string]struct {
		r      [7]byte
		status byte
		want   time.Time
		err    error
	}{
		"a day":              {[7]byte{0x56, 0x34, 0x12, 4, 0x25, 0x11, 0x26}, 8, time.Date(2026, 11, 25, 12, 34, 56, 0, time.UTC), nil},
		"twelve hours, late": {[7]byte{0, 0, 0x71, 1, 0x01, 0x01, 0x27}, 0, time.Date(2027, 1, 1, 23, 0, 0, 0, time.UTC), nil},
		"midnight of twelve": {[7]byte{0, 0, 0x52, 1, 0x01, 0x01, 0x27}, 0, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), nil},
		"the next century":   {[7]byte{0x59, 0x59, 0x23, 7, 0x28, 0x82, 0x99}, 0, time.Date(2199, 2, 28, 23, 59, 59, 0, time.UTC), nil},
		"it stood still":     {[7]byte{0x56, 0x34, 0x12, 4, 0x25, 0x11, 0x26}, 0x88, time.Time{}, ErrStopped},
		"no such day":        {[7]byte{0, 0, 0, 1, 0x30, 0x02, 0x26}, 0, time.Time{}, ErrNoTime},
		"no such hour":       {[7]byte{0, 0, 0x24, 1, 0x01, 0x02, 0x26}, 0, time.Time{}, ErrNoTime},
		"ones alone":         {[7]byte{255, 255, 255, 255, 255, 255, 255}, 0, time.Time{}, ErrNoTime},
		"letters":            {[7]byte{0x5a, 0x34, 0x12, 4, 0x25, 0x11, 0x26}, 0, time.Time{}, ErrNoTime},
	} {
		bus := &i2ctest.Playback{Ops: []i2ctest.IO{{Addr: 0x68, W: []byte{0}, R: registers(c.r, c.status)}}, DontPanic: true}
		got, err := New(bus).Read()
		if !got.Equal(c.want) || !errors.Is(err, c.err) || err == nil != (c.err == nil) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A chip that was set says so: the time in UTC, and then that it is right.
func TestSet(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: 0x68, W: []byte{0, 0x57, 0x34, 0x05, 5, 0x26, 0x11, 0x26}},
		{Addr: 0x68, W: []byte{0x0f}, R: []byte{0x8b}},
		{Addr: 0x68, W: []byte{0x0f, 0x0b}},
	}}
	at := time.Date(2026, 11, 26, 12, 34, 56, 600e6, time.FixedZone("+07", 7*3600))
	if err := New(bus).Set(at); err != nil {
		t.Error(err)
	}
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
	if err := New(bus).Set(at.AddDate(200, 0, 0)); err == nil {
		t.Error("a year that the chip does not know was set")
	}
}

func TestNoAnswer(t *testing.T) {
	c := New(&i2ctest.Playback{DontPanic: true})
	if _, err := c.Read(); err == nil || errors.Is(err, ErrStopped) || errors.Is(err, ErrNoTime) {
		t.Errorf("read: %v", err)
	}
	if err := c.Set(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("set without an answer")
	}
}

// Whatever a chip answers is a time that it would keep, or an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x56, 0x34, 0x12, 4, 0x25, 0x11, 0x26})
	f.Add([]byte{0, 0, 0x52, 1, 0x01, 0x01, 0x27})
	f.Fuzz(func(t *testing.T, r []byte) {
		if len(r) != 7 {
			return
		}
		at, err := decode(r)
		if err != nil {
			return
		}
		if again, err := decode(encode(at)); err != nil || !again.Equal(at) {
			t.Errorf("% x is %v, and again %v, %v", r, at, again, err)
		}
	})
}
