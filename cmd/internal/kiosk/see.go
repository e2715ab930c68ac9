package kiosk

import (
	"context"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/storage/entry"
)

// ignore is how long the same person in the same direction is not even noticed again; then comes "already in".
const ignore = 5 * time.Second

// see gives whoever stands in view of a lane a verdict; texts is not empty.
func (k *Kiosk) see(ctx context.Context, l *lane, texts []string) {
	k.mu.Lock()
	direction := l.Direction
	k.mu.Unlock()
	claims, several := k.understand(texts)
	stamp := k.Clock.Stamp()
	p := passage{lane: l.Name, direction: direction, claims: claims}
	if several {
		p.claims = credential.Claims{}
		p.Decision = admission.Decision{Verdict: entry.Look, Reason: entry.ReasonSeveral}
		k.pass(ctx, p, stamp)
		return
	}
	known := k.Memory.Past(claims.Keys(), stamp.Wall)
	if since := stamp.Wall.Sub(known.Last); known.LastDirection == direction && since >= 0 && since < ignore {
		return
	}
	past := admission.Past{Until: known.Until, Form: known.Form, Last: known.Last, LastDirection: known.LastDirection}
	p.Decision = admission.Decide(claims, past, k.Policy, k.Forms, k.moment(stamp, direction))
	k.pass(ctx, p, stamp)
}

func (k *Kiosk) moment(s entry.Stamp, d entry.Direction) admission.Moment {
	return admission.Moment{Now: s.Wall.In(k.Zone), Trust: s.Trust, Direction: d}
}

// understand reads all codes in view. Codes of one person count as one, the declaration first; several is
// true when they belong to different people. Without any person, the code that says most about itself is taken.
func (k *Kiosk) understand(texts []string) (claims credential.Claims, several bool) {
	var people, others []credential.Claims
	for _, t := range texts {
		if c := credential.Parse(t, k.Trust); c.Reason == "" {
			people = append(people, c)
		} else {
			others = append(others, c)
		}
	}
	if len(people) == 0 {
		return slices.MinFunc(others, func(a, b credential.Claims) int { return rank(a.Reason) - rank(b.Reason) }), false
	}
	claims = people[0]
	for _, c := range people[1:] {
		if !samePerson(claims, c) {
			return claims, true
		}
		if c.Declaration != nil {
			claims = c
		}
	}
	return claims, false
}

// rank orders the reasons for which a code is no person: a broken proof says more than an unknown text.
func rank(r entry.Reason) int {
	return slices.Index([]entry.Reason{
		entry.ReasonUnknown, entry.ReasonNotPerson, entry.ReasonKnown, entry.ReasonMalformed, entry.ReasonSigner, entry.ReasonSignature,
	}, r) * -1
}

func samePerson(a, b credential.Claims) bool {
	return slices.ContainsFunc(a.Keys(), func(key string) bool { return slices.Contains(b.Keys(), key) })
}

// A passage is a decision on its way into the journal and onto the screen.
type passage struct {
	admission.Decision
	lane      string
	direction entry.Direction
	claims    credential.Claims
	answers   map[string]any
}

// pass keeps the passage, then remembers what follows from it, then shows it: in this order, so that green
// means durable. What cannot be kept is shown as a fault, whatever was decided.
func (k *Kiosk) pass(ctx context.Context, p passage, stamp entry.Stamp) {
	tag := k.tag(p, stamp.Wall)
	seq, err := k.keepPassage(ctx, p, tag)
	if err != nil {
		p.Decision = admission.Decision{Verdict: entry.Failed, Reason: entry.ReasonJournal}
		k.show(p, 0, nil)
		return
	}
	keys := p.claims.Keys()
	if p.Forget {
		if err := k.Memory.Forget(keys, stamp.Wall); err != nil {
			k.Log.Warn("a declaration could not be forgotten", "error", err)
		}
	}
	if !p.Until.IsZero() {
		if err := k.Memory.Declare(keys, p.Form, p.Until, stamp.Wall); err != nil {
			k.Log.Warn("a declaration is not remembered", "error", err)
		}
	}
	if p.Verdict == entry.Admit {
		k.Memory.Pass(keys, tag, p.direction, stamp.Wall)
	}
	k.show(p, seq, tag)
}

func (k *Kiosk) tag(p passage, now time.Time) []byte {
	if keys := p.claims.Keys(); len(keys) > 0 {
		return k.Memory.Tag(keys, now)
	}
	return nil
}

func (k *Kiosk) keepPassage(ctx context.Context, p passage, tag []byte) (uint64, error) {
	body := entry.Passage{Lane: p.lane, Direction: p.direction, Verdict: p.Verdict, Form: p.Form, Tag: tag}
	if k.Sealer != nil {
		sealed, err := k.Sealer.Seal(p.personal())
		if err != nil {
			return 0, err
		}
		body.Sealed = sealed
	}
	return k.keep(ctx, body)
}

// personal gathers what only the authority may read.
func (p passage) personal() entry.Personal {
	c := p.claims
	personal := entry.Personal{
		Family: string(c.Family), Verified: c.Verified, Reason: p.Reason, Name: c.Person.Name, Birth: c.Person.Birth,
		Number: c.Person.Number, QID: c.Person.QID, Address: c.Person.Address, Answers: p.answers,
	}
	if d := c.Declaration; d != nil {
		personal.Declarer, personal.Plate = d.Declarer, d.Plate
		if personal.Number == "" {
			personal.Number = d.Tail
		}
		if personal.Answers == nil {
			personal.Answers = d.Answers
		}
	}
	return personal
}

// show puts the verdict on the screen and lights the lamp; seq is 0 when it was not kept.
func (k *Kiosk) show(p passage, seq uint64, tag []byte) {
	now := time.Now()
	words := guard.Words(p.Reason, p.Verdict, p.direction)
	s := &guard.Shown{
		Seq: seq, Lane: p.lane, Face: guard.FaceOf(p.Verdict), Verdict: p.Verdict, Reason: p.Reason,
		Words: words, Who: p.claims.Person.Short(),
	}
	if hold := guard.Hold(p.Verdict, p.Reason); hold > 0 {
		until := now.Add(hold)
		s.Until = &until
		time.AfterFunc(hold, func() { k.clear(s) })
	}
	k.change(func() {
		k.shown = s
		k.remember(recent{guard.Recent{
			Seq: seq, At: now, Lane: p.lane, Direction: p.direction.String(), Face: s.Face,
			Verdict: p.Verdict, Reason: p.Reason, Words: words,
		}, tag})
		if p.Ask != nil {
			k.pending = newPending(p, now)
		}
	})
	k.light(s.Face)
}

// clear takes s off the screen, unless another verdict has come.
func (k *Kiosk) clear(s *guard.Shown) {
	k.mu.Lock()
	gone := k.shown != s
	k.mu.Unlock()
	if gone {
		return
	}
	k.change(func() { k.shown = nil })
	k.light(guard.Ready)
}

func (k *Kiosk) light(f guard.Face) {
	if k.Lamp == nil {
		return
	}
	if err := k.Lamp(f); err != nil {
		k.Log.Warn("lamp does not light", "error", err)
	}
}
