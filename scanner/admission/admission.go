// Package admission decides what follows from what a person shows: Decide over a code's claims, and Answer
// over the answers given at the gate.
//
// It is pure: claims, what the venue remembers, the policy, the forms and the time come as arguments. It
// knows no trade and no illness, only forms. It promises a verdict for any arguments, and that nobody is
// kept in. It does not promise that the person is who the code says.
package admission

import (
	"slices"
	"time"

	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

// Action is what a policy does with somebody who can prove nothing.
type Action string

const (
	ActionAdmit  Action = "admit"  // let in: who it is suffices
	ActionLook   Action = "look"   // the guard asks the form's questions
	ActionRefuse Action = "refuse" // turn away
)

// DefaultDuplicate is the window of a policy that names none: long enough that nobody passes a card back over
// the fence unnoticed, short enough that somebody who left unseen is not held up for long.
const DefaultDuplicate = 10 * time.Minute

// forgetful is after how long somebody who was seen going one way alone has most likely gone the other way unseen.
const forgetful = 16 * time.Hour

// skew is how far two trusted clocks may stand apart.
const skew = 5 * time.Minute

// A Policy is what a venue wants.
type Policy struct {
	Families   []credential.Family // taken here; none means all
	Forms      []string            // ids of the forms of which one is needed; none means that no declaration is
	Unprovable Action              // for a bare identity without a remembered declaration; "" means ActionLook
	Freshness  time.Duration       // 0: as long as the form says; else at most this
	Duplicate  time.Duration       // the same person in the same direction within this is a duplicate; 0: none is
	Passback   Passback            // for who goes the same way again later; "" means PassbackSoft
	RollCall   bool                // the guard may see the short names of those who are inside; they are in memory only
	Doses      int                 // an authority's certificate of as many doses counts as a declaration; 0: none does
	DaysSince  int                 // and the last of them is so many days ago, or more
	Expected   []string            // rosters, of which one must have the person; none: anybody may come
	Barred     []string            // rosters of whom is not let in
	TrustAge   time.Duration       // for which the list of trusted keys counts since it was made; 0: for ever
}

// Rosters returns the names of those that decide here.
func (p Policy) Rosters() []string { return slices.Concat(p.Expected, p.Barred) }

// Passback is what a policy does with somebody who comes in, or goes out, twice in a row: a card was handed back over the
// fence, or the other passage was not seen.
type Passback string

const (
	PassbackSoft Passback = "soft" // pass, with that reason in the entry
	PassbackHard Passback = "hard" // the guard looks; the way out stays open
	PassbackOff  Passback = "off"  // say nothing
)

// A Moment is when and where a person stands.
type Moment struct {
	Now       time.Time // in the venue's zone, which decides when a day ends
	Trust     entry.Trust
	Direction entry.Direction
	Keys      time.Time // when the trusted keys were put together; zero: nobody says
}

// A Past is what the venue knows of a person.
type Past struct {
	Until         time.Time // the remembered declaration is fresh until then; zero: none is remembered
	Form          string    // its form, by ref
	Last          time.Time // when the person was last admitted; zero: not today
	LastDirection entry.Direction
	Refused       time.Time // an answer ended what was declared before then; zero: none did
	Rosters       []string  // which of the rosters that the policy names have the person
}

// A Decision is what the gate does.
type Decision struct {
	Verdict  entry.Verdict
	Reason   entry.Reason
	Form     string     // the form that it rests on or asks for, by ref
	Ask      *form.Form // the questions that the guard may put instead; nil: none would help
	Until    time.Time  // remember the person's declaration until then; zero: do not
	Forget   bool       // what was declared before does not stand any more
	Question string     // id of the question that decided: it says something of the person, so it stays sealed
}

func verdict(v entry.Verdict, r entry.Reason) Decision { return Decision{Verdict: v, Reason: r} }

// Decide judges what a person shows.
//
// A code that names nobody gets a look; a broken signature is refused, and so is on the way in who is barred. Then, in this
// order: the same person in the same direction within p.Duplicate of the last admission is a duplicate, which gets a look on the
// way in and still a go on the way out (the caller says nothing at all in the first seconds, then "already in"; going the other
// way in between makes it a new visit); going out is always admitted; the family must be one that p takes; the person must be one
// of those who are expected, where p says who is; and where p asks for forms, a fresh declaration on one of them must be shown or
// remembered. Of signatures by keys that are too old only a refusing answer counts.
//
// Whoever would be admitted the same way as the last time, and later than a duplicate, is dealt with by p.Passback.
func Decide(c credential.Claims, past Past, p Policy, forms form.Set, m Moment) Decision {
	d := decide(c, past, p, forms, m)
	if d.Verdict != entry.Admit || d.Reason == entry.ReasonDuplicate || p.Passback == PassbackOff || !Again(past, m) {
		return d
	}
	if p.Passback == PassbackHard && m.Direction == entry.In {
		return verdict(entry.Look, entry.ReasonPassback)
	}
	d.Reason = entry.ReasonPassback
	return d
}

// Again reports whether a person goes the same way as the last time, which is not so long ago that the passage between the
// two was simply missed.
func Again(past Past, m Moment) bool {
	since := m.Now.Sub(past.Last)
	return !past.Last.IsZero() && past.LastDirection == m.Direction && since >= 0 && since < forgetful
}

func decide(c credential.Claims, past Past, p Policy, forms form.Set, m Moment) Decision {
	if c.Reason != "" {
		return nobody(c.Reason, m.Direction)
	}
	if m.Direction != entry.Out && slices.ContainsFunc(p.Barred, past.on) {
		return verdict(entry.Refuse, entry.ReasonBarred)
	}
	if duplicate(past, p, m) {
		w := weigher{p, forms, m}
		if c.Declaration != nil && c.Verified && m.Direction != entry.Out {
			if d := w.declared(*c.Declaration, past); d.Forget {
				return d // who was admitted a moment ago and now says otherwise is no duplicate
			}
		}
		if m.Direction == entry.Out {
			return verdict(entry.Admit, entry.ReasonDuplicate)
		}
		return verdict(entry.Look, entry.ReasonDuplicate)
	}
	if d, done := before(c, p, m); done {
		return d
	}
	if len(p.Expected) > 0 && !slices.ContainsFunc(p.Expected, past.on) {
		return verdict(entry.Look, entry.ReasonUnexpected)
	}
	w := weigher{p, forms, m}
	if c.Verified && w.stale() {
		if c.Declaration != nil {
			if d := w.declared(*c.Declaration, past); d.Forget {
				return d
			}
		}
		c.Verified = false
		d := w.plain(c, past)
		if d.Verdict == entry.Look {
			d.Reason = entry.ReasonStale
		}
		return d
	}
	if c.Proof != nil && c.Verified {
		if d, done := w.proven(*c.Proof); done {
			return d
		}
	}
	if c.Declaration == nil || !c.Verified || len(p.Forms) == 0 {
		return w.plain(c, past)
	}
	d := w.declared(*c.Declaration, past)
	if d.Verdict == entry.Admit || d.Forget {
		return d
	}
	if r := w.remembered(past); r.Verdict == entry.Admit && r.Reason == entry.ReasonRemembered {
		return r
	}
	return d
}

// Answer judges answers that were given at the gate for a person whom c names. The caller has put f's
// questions because a Decision asked them.
func Answer(c credential.Claims, f form.Form, answers map[string]any, p Policy, m Moment) Decision {
	if c.Reason != "" {
		return nobody(c.Reason, m.Direction)
	}
	if d, done := before(c, p, m); done {
		return d
	}
	if !slices.Contains(p.Forms, f.ID) {
		return Decision{Verdict: entry.Look, Reason: entry.ReasonForm, Form: f.Ref()}
	}
	d := judge(f, answers, m)
	switch d.Reason {
	case entry.ReasonAnswered:
		d.Until = m.Now.Add(freshness(f, p))
	case entry.ReasonAnswers:
		d.Ask = &f
	}
	return d
}

// nobody answers a code that names no person.
func nobody(r entry.Reason, d entry.Direction) Decision {
	switch {
	case r == entry.ReasonUnknown:
		return verdict(entry.Unreadable, r)
	case r == entry.ReasonSignature && d != entry.Out:
		return verdict(entry.Refuse, r)
	}
	return verdict(entry.Look, r)
}

func (past Past) on(roster string) bool { return slices.Contains(past.Rosters, roster) }

// duplicate is false when the clock was set back since: time that runs backwards tells nothing.
func duplicate(past Past, p Policy, m Moment) bool {
	return Again(past, m) && m.Now.Sub(past.Last) < p.Duplicate
}

// before decides what needs no form.
func before(c credential.Claims, p Policy, m Moment) (d Decision, done bool) {
	switch {
	case m.Direction == entry.Out:
		return verdict(entry.Admit, entry.ReasonLeaving), true
	case len(p.Families) > 0 && !slices.Contains(p.Families, c.Family):
		return verdict(entry.Look, entry.ReasonFamily), true
	}
	return d, false
}

// bare answers somebody where no form is asked for.
func bare(c credential.Claims, p Policy) Decision {
	if c.Verified || p.Unprovable == ActionAdmit {
		return verdict(entry.Admit, entry.ReasonIdentity)
	}
	if p.Unprovable == ActionRefuse {
		return verdict(entry.Refuse, entry.ReasonUnprovable)
	}
	return verdict(entry.Look, entry.ReasonUnprovable)
}

// judge asks the form what follows from the answers. A refusing or doubtful answer ends what was declared before.
func judge(f form.Form, answers map[string]any, m Moment) Decision {
	v, r, q := f.Judge(answers, m.Now)
	return Decision{
		Verdict: v, Reason: r, Form: f.Ref(), Question: q,
		Forget: r == entry.ReasonRefusedAnswer || r == entry.ReasonAskedAnswer,
	}
}

// Freshest returns how long a declaration can count here at the most, on any of the forms that p takes.
func Freshest(p Policy, forms form.Set) (longest time.Duration) {
	for _, f := range forms {
		if slices.Contains(p.Forms, f.ID) {
			longest = max(longest, freshness(f, p))
		}
	}
	return longest
}

// freshness is how long a declaration on f counts here.
func freshness(f form.Form, p Policy) time.Duration {
	if p.Freshness > 0 {
		return min(p.Freshness, f.Freshness)
	}
	return f.Freshness
}
