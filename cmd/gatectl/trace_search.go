package main

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

const minTail = 4 // digits of a number that tell people apart well enough to be shown

// A sighting is a passage whose seal may be opened.
type sighting struct {
	entry.Entry
	entry.Passage
	device   string
	wall     time.Time
	sure     bool // wall is to be believed
	personal entry.Personal
}

// A boot is one boot of a device.
type boot struct {
	device string
	boot   uint32
}

// A search walks the log and keeps the sealed passages of some gates in a window of time, and those whose time nobody
// trusts yet, unopened.
type search struct {
	wanted   func(device string) bool
	from, to time.Time
	all      []*sighting
	undone   map[spot]bool
	anchors  map[boot]entry.Anchor // the first of each boot
}

func newSearch(from, to time.Time, wanted func(string) bool) *search {
	return &search{wanted: wanted, from: from, to: to, undone: map[spot]bool{}, anchors: map[boot]entry.Anchor{}}
}

// pull reads the whole log, which the client verifies.
func (s *search) pull(ctx context.Context, c *pull.Client) error {
	for at := ""; ; {
		next, n, err := c.Page(ctx, at, pull.MaxLimit, 0, s.take)
		if err != nil {
			return err
		}
		if n == 0 && next == at {
			return c.Whole()
		}
		at = next
	}
}

func (s *search) take(l pull.Line) error {
	if !s.wanted(l.Device) {
		return nil
	}
	e, err := entry.Parse(l.Entry)
	if err != nil {
		return err
	}
	at := boot{l.Device, e.Boot}
	if a, ok := entry.AnchorOf(e); ok && s.anchors[at] == (entry.Anchor{}) {
		s.anchors[at] = a
	}
	if l.Undoes > 0 {
		s.undone[spot{l.Device, l.Undoes}] = true
	}
	if e.Trust >= entry.TrustClock && (e.Wall.Before(s.from) || !e.Wall.Before(s.to)) {
		return nil
	}
	if p, err := entry.Decode[entry.Passage](e); err == nil && len(p.Sealed) > 0 { // other kinds know nobody
		s.all = append(s.all, &sighting{Entry: e, Passage: p, device: l.Device})
	}
	return nil
}

// within returns the passages in the window, by time; only those that count, unless all is set. Astray are passages that
// lie outside by a clock that nobody trusts.
func (s *search) within(all bool) (found []*sighting, astray int) {
	for _, p := range s.all {
		if !all && (p.Verdict != entry.Admit || s.undone[spot{p.device, p.Seq}]) {
			continue
		}
		p.wall, p.sure = s.anchors[boot{p.device, p.Boot}].Wall(p.Entry)
		switch in := !p.wall.Before(s.from) && p.wall.Before(s.to); {
		case in:
			found = append(found, p)
		case !p.sure:
			astray++
		}
	}
	slices.SortStableFunc(found, func(a, b *sighting) int { return a.wall.Compare(b.wall) })
	return found, astray
}

// open opens the seals, and returns the passages of whom the search is for; closed are those that cannot be opened or shown.
func (f *traceFlags) open(ctx context.Context, found []*sighting, key *ecdh.PrivateKey) (shown []*sighting, closed int, err error) {
	for _, p := range found {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		p.personal, err = entry.Unseal(key, p.Sealed)
		if err == nil {
			_, err = json.Marshal(p.personal)
		}
		if err != nil {
			closed++
		} else if f.is(p.personal) {
			shown = append(shown, p)
		}
	}
	return shown, closed, nil
}

// is tells whether p is the person who is searched; everybody is when nobody is named.
func (f *traceFlags) is(p entry.Personal) bool {
	return (f.name == "" || sameName(f.name, p.Name)) && (f.id == "" || sameNumber(f.id, p.Number) || sameNumber(f.id, p.QID))
}

// sameName compares without accents and case; a name that was cut to fit a code ends with "…".
func sameName(want, got string) bool {
	want, got = claim.Fold(want), claim.Fold(got)
	begin, cut := strings.CutSuffix(got, "…")
	return got != "" && (want == got || cut && begin != "" && strings.HasPrefix(want, begin))
}

// sameNumber compares numbers; what a code hides of one is written as stars, and then its last digits count.
func sameNumber(want, got string) bool {
	want = digits(want)
	tail := digits(got[strings.LastIndex(got, "*")+1:])
	if tail == digits(got) && !strings.Contains(got, "*") {
		return want == tail && tail != ""
	}
	return len(tail) >= minTail && strings.HasSuffix(want, tail)
}

// digits returns the letters and digits of a number, upper case.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
}
