package entry

import "time"

// An Anchor repairs the wall times of one boot where entries are read; in the journal they stay as they were written. A
// kiosk often starts before it knows the time, but it counts the milliseconds of the boot without a jump: one trusted
// time of a boot dates all of its entries, earlier ones too. The zero Anchor knows no boot.
type Anchor struct {
	Boot  uint32
	Began int64 // wall time of the boot's beginning, milliseconds since 1970
}

// AnchorOf returns the anchor that e gives to its boot; false when e's own time is not trusted.
func AnchorOf(e Entry) (Anchor, bool) {
	return Anchor{e.Boot, e.Wall.UnixMilli() - e.Mono.Milliseconds()}, e.Trust >= TrustClock
}

// Wall returns the wall time of e, repaired if a belongs to its boot, and whether it is to be trusted.
func (a Anchor) Wall(e Entry) (wall time.Time, sure bool) {
	switch {
	case e.Trust >= TrustClock:
		return e.Wall, true
	case a.Boot == 0 || a.Boot != e.Boot:
		return e.Wall, false
	}
	return a.At(e.Mono), true
}

// At returns the wall time so long after the boot began.
func (a Anchor) At(mono time.Duration) time.Time {
	return time.UnixMilli(a.Began + mono.Milliseconds()).UTC()
}
