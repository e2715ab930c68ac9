package face

import (
	"fmt"
	"image"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// verdict draws one of the four faces.
func (s *sheet) verdict(r image.Rectangle, v guard.Shown) {
	rest := s.face(r, v.Face, v.Words)
	if v.Who != "" {
		s.words(rest, v.Who, 8*s.unit, s.ink, middle)
	}
	if len(s.lanes()) > 1 {
		s.words(s.margin(r), v.Lane, 6*s.unit, s.ink, left)
	}
	if v.Face == guard.Stop || v.Face == guard.Ask { // the guard's key
		s.area(r, guard.Action{Dismiss: &guard.Dismiss{Lane: v.Lane}})
	}
}

// said draws a face that is no verdict.
func (s *sheet) said(r image.Rectangle, said guard.Said) { s.face(r, said.Face, said.Words) }

// face fills r with a face: a third of it is the symbol, then come the words. It returns what is left below.
func (s *sheet) face(r image.Rectangle, f guard.Face, words guard.Text) image.Rectangle {
	s.ground, s.ink = Colours(f)
	s.fill(r, s.ground)
	in := s.margin(r)
	size := min(s.Bounds().Dy()/3, in.Dx())
	symbol := image.Rect(in.Min.X, in.Min.Y, in.Max.X, in.Min.Y+size)
	if f == guard.Ready {
		symbol.Max.Y = symbol.Min.Y
	}
	s.symbol(symbol, f)
	in.Min.Y = symbol.Max.Y + 2*s.unit
	in.Min.Y += s.words(top(in, in.Dy()*6/10), words.VI, 18*s.unit, s.ink, middle)
	in.Min.Y += s.words(top(in, in.Dy()/2), words.EN, 7*s.unit, s.ink, middle) + s.unit
	return in
}

func (s *sheet) margin(r image.Rectangle) image.Rectangle { return r.Inset(4 * s.unit) }

func (s *sheet) area(r image.Rectangle, a guard.Action) {
	if s.scene.Touch {
		s.areas = append(s.areas, Area{Rect: r.Intersect(s.Bounds()), Action: a})
	}
}

// footer draws what is always there: how many entries are kept and wait, and whether the time can be trusted. It returns
// what is left above.
func (s *sheet) footer(r image.Rectangle) image.Rectangle {
	state := s.scene.State
	high := 13 * s.unit
	bar := image.Rect(r.Min.X, r.Max.Y-high, r.Max.X, r.Max.Y)
	s.fill(bar, black)
	in := image.Rect(bar.Min.X+2*s.unit, bar.Min.Y+s.unit/2, bar.Max.X-2*s.unit, bar.Max.Y)
	vi, en := "Đã lưu "+guard.Grouped(uint64(state.Saved), "."), fmt.Sprintf("saved %d, unsent %d", state.Saved, state.Unsent)
	vi += ", chưa gửi " + guard.Grouped(uint64(state.Unsent), ".")
	if state.Oldest != nil {
		ago, past := age(s.scene.Now.Sub(*state.Oldest))
		vi, en = vi+", cũ nhất "+ago, en+", oldest "+past
	}
	half := high/2 - s.unit/2
	above, below := top(in, half), in
	below.Min.Y += half
	clock, how := s.clock()
	room := s.fonts.width(clock, half*3/4) + 2*s.unit
	s.words(image.Rect(above.Min.X, above.Min.Y, above.Max.X-room, above.Max.Y), vi, half*3/4, white, left)
	s.words(above, clock, half*3/4, white, right)
	room = s.fonts.width(how, half*3/5) + 2*s.unit
	s.words(image.Rect(below.Min.X, below.Min.Y, below.Max.X-room, below.Max.Y), en, half*3/5, pale, left)
	s.words(below, how, half*3/5, pale, right)
	return image.Rect(r.Min.X, r.Min.Y, r.Max.X, bar.Min.Y)
}

// clock returns the time, and how far it is trusted.
func (s *sheet) clock() (now, trust string) {
	zone := s.scene.Zone
	if zone == nil {
		zone = time.UTC
	}
	now = s.scene.Now.In(zone).Format("15:04 02/01/2006")
	switch s.scene.State.Clock {
	case entry.TrustClock.String(), entry.TrustNetwork.String():
		return now, "giờ đúng · time is right"
	case entry.TrustSeen.String():
		return now + " ?", "giờ chưa chắc · time is doubtful"
	}
	return "--:-- ?", "giờ sai · time is wrong"
}

// age says how long ago something was.
func age(d time.Duration) (vi, en string) {
	n, v, e := int(d.Seconds()), "giây", "s"
	switch {
	case d >= 48*time.Hour:
		n, v, e = int(d.Hours()/24), "ngày", "days"
	case d >= 2*time.Hour:
		n, v, e = int(d.Hours()), "giờ", "h"
	case d >= 2*time.Minute:
		n, v, e = int(d.Minutes()), "phút", "min"
	}
	n = max(n, 0)
	return fmt.Sprintf("%d %s", n, v), fmt.Sprintf("%d %s", n, e)
}
