package kiosk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/storage/entry"
	"gatepost/storage/memory"
)

// ignore is how long the same person in the same direction is not even noticed again at this gate; then comes "already
// in", and at once at another.
const ignore = 5 * time.Second

// see gives whoever stands in view of a lane a verdict; texts is not empty.
func (k *Kiosk) see(ctx context.Context, l *lane, texts []string) {
	k.turn.Lock()
	defer k.turn.Unlock()
	claims, several := k.understand(texts)
	if several {
		d := admission.Decision{Verdict: entry.Look, Reason: entry.ReasonSeveral}
		k.pass(ctx, passage{Decision: d, lane: l.Name, direction: k.direction(l)}, k.Clock.Stamp())
		return
	}
	k.stand(ctx, l, claims) // what could not be kept is shown
}

// stand gives the one person before a lane a verdict; the error is of the passage that could not be kept. The caller holds
// turn.
func (k *Kiosk) stand(ctx context.Context, l *lane, claims credential.Claims) error {
	stamp := k.Clock.Stamp()
	p := passage{lane: l.Name, direction: k.direction(l), claims: claims}
	m := k.Memory.Past(claims.Keys(), k.when(stamp))
	past := admission.Past{Until: m.Until, Form: m.Form, Last: m.Last, LastDirection: m.LastDirection, Refused: m.Refused, Rosters: k.rostersOf(claims.Keys())}
	moment := k.moment(stamp, p.direction)
	p.Decision = admission.Decide(claims, past, k.Policy, k.Forms, moment)
	k.judgeWay(l, past, p, moment)
	since := stamp.Wall.Sub(past.Last)
	if m.LastGate == k.Device && past.LastDirection == p.direction && since >= 0 && since < ignore && !p.Forget {
		return nil
	}
	return k.pass(ctx, p, stamp)
}

func (k *Kiosk) direction(l *lane) entry.Direction {
	k.mu.Lock()
	defer k.mu.Unlock()
	return l.Direction
}

func (k *Kiosk) moment(s entry.Stamp, d entry.Direction) admission.Moment {
	return admission.Moment{Now: s.Wall.In(k.Zone), Trust: s.Trust, Direction: d, Keys: k.Trust.Made}
}

// when is the time that the memory is told: a clock that nobody trusts must not end a day, or a key with it.
func (k *Kiosk) when(s entry.Stamp) time.Time {
	if s.Trust == entry.TrustNone {
		return k.Clock.Seen()
	}
	return s.Wall
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
		if newer(c.Declaration, claims.Declaration) {
			claims = c
		}
	}
	return claims, false
}

// newer reports whether a says more of today than b: the answers of a person are the latest that they gave.
func newer(a, b *credential.Declaration) bool {
	return a != nil && (b == nil || a.Issued.After(b.Issued))
}

// rank orders the reasons for which a code is no person: a broken proof says more than an unknown text.
func rank(r entry.Reason) int {
	return slices.Index([]entry.Reason{
		entry.ReasonUnknown, entry.ReasonNotPerson, entry.ReasonKnown, entry.ReasonMalformed, entry.ReasonSigner, entry.ReasonSignature,
	}, r) * -1
}

// samePerson reports whether two codes can be one person's: they share a key, and are not two cards of namesakes.
func samePerson(a, b credential.Claims) bool {
	x, y := a.Keys(), b.Keys()
	if len(x) > 1 && len(y) > 1 {
		return x[0] == y[0]
	}
	return slices.ContainsFunc(x, func(key string) bool { return slices.Contains(y, key) })
}

// A passage is a decision on its way into the journal and onto the screen.
type passage struct {
	admission.Decision
	lane      string
	direction entry.Direction
	claims    credential.Claims
	answers   map[string]any
	by        string // who answered for the person
}

// pass forgets what no longer stands, keeps the passage, remembers what follows from it, and only then shows
// it: in this order, so that green means durable and a refusal outlives a power cut. What cannot be kept is shown
// as a fault, whatever was decided. The caller holds turn.
func (k *Kiosk) pass(ctx context.Context, p passage, stamp entry.Stamp) error {
	now, keys := k.when(stamp), p.claims.Keys()
	var err error
	if p.Forget {
		if err = k.forget(keys, now); err != nil {
			err = fmt.Errorf("forget what was declared: %w", err)
		}
	}
	tag := k.Memory.Tag(keys, now)
	var seq uint64
	if err == nil {
		seq, err = k.keepPassage(ctx, p, tag)
	}
	if err != nil {
		k.Log.Error("passage was not kept", "error", err)
		p.Decision = admission.Decision{Verdict: entry.Failed, Reason: entry.ReasonJournal}
		k.show(p, stamp, 0, nil)
		return err
	}
	if !p.Until.IsZero() && len(keys) > 0 {
		// Under the first key alone: a name that a namesake shares would make it theirs too.
		if err := k.Memory.Declare(keys[:1], p.Form, p.Until, now); err != nil {
			k.Log.Warn("a declaration is not remembered", "error", err)
		}
	}
	if p.Verdict == entry.Admit {
		k.Memory.Pass(keys, memory.Passage{Gate: k.Device, Seq: seq, Tag: tag, Direction: p.direction, At: now})
		k.enlist(p, now)
	}
	k.show(p, stamp, seq, tag)
	return nil
}

// forget forgets what a person declared for as long as any of it could count.
func (k *Kiosk) forget(keys []string, now time.Time) error {
	return k.Memory.Forget(keys, now.Add(admission.Freshest(k.Policy, k.Forms)), now)
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
		Number: c.Person.Number, QID: c.Person.QID, Address: c.Person.Address, Answers: p.answers, Declarer: p.by, Slip: c.Person.Slip,
	}
	if d := c.Declaration; d != nil {
		personal.Plate = d.Plate
		if p.by == "" {
			personal.Declarer = d.Declarer
		}
		if personal.Number == "" {
			personal.Number = d.Tail
		}
		if personal.Answers == nil {
			personal.Answers = d.Answers
		}
	}
	return personal
}

// show puts the verdict on its lane's screen and lights the lamp; seq is 0 when it was not kept. The caller holds
// turn, so that screen and lamp always say the same.
func (k *Kiosk) show(p passage, stamp entry.Stamp, seq uint64, tag []byte) {
	words := guard.Words(p.Reason, p.Verdict, p.direction)
	s := &guard.Shown{
		Seq: seq, Lane: p.lane, Face: guard.FaceOf(p.Verdict), Verdict: p.Verdict, Reason: p.Reason,
		Words: words, Who: p.claims.Person.Short(), Direction: p.direction.String(),
	}
	if hold := guard.Hold(p.Verdict, p.Reason); hold > 0 {
		time.AfterFunc(hold, func() { k.clear(s) })
	}
	k.change(func() {
		if s.Silent = !k.settings.Sounds; !k.settings.Names {
			s.Who = ""
		}
		k.shown[p.lane] = s
		k.remember(recent{guard.Recent{
			Seq: seq, At: stamp.Wall, Lane: p.lane, Direction: p.direction.String(), Face: s.Face,
			Verdict: p.Verdict, Reason: p.Reason, Words: words,
		}, tag, p.claims.Keys()})
		k.ask(p)
	})
	k.light()
	if k.Signal != nil {
		k.Signal(*s)
	}
}

// clear takes s off its lane's screen, unless another verdict has come.
func (k *Kiosk) clear(s *guard.Shown) {
	k.turn.Lock()
	defer k.turn.Unlock()
	k.change(func() {
		if k.shown[s.Lane] == s {
			delete(k.shown, s.Lane)
		}
	})
	k.light()
}

// light makes the lamp say what the lanes' screens say; of several faces the gravest. The caller holds turn.
func (k *Kiosk) light() {
	if k.Lamp == nil {
		return
	}
	gravest := guard.Ready
	k.mu.Lock()
	for _, s := range k.shown {
		if guard.Graver(s.Face, gravest) {
			gravest = s.Face
		}
	}
	k.mu.Unlock()
	if gravest == k.lit {
		return
	}
	if err := k.Lamp(gravest); err != nil {
		k.Log.Warn("lamp does not light", "error", err)
		gravest = "" // nobody knows; the next face is set in any case
	}
	k.lit = gravest
}
