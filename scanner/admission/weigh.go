package admission

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

// A weigher knows what declarations are worth at one moment.
type weigher struct {
	policy Policy
	forms  form.Set
	moment Moment
}

// declared weighs a declaration whose signature holds. One from before a refused answer does not outweigh that.
func (w weigher) declared(d credential.Declaration, past Past) Decision {
	f, ok := w.forms[fmt.Sprintf("%s/%d", d.Form, d.Version)]
	if !ok || !w.wanted(f) {
		return w.ask(verdict(entry.Look, entry.ReasonForm))
	}
	now, until := w.moment.Now, earlier(d.Issued.Add(freshness(f, w.policy)), d.Expires)
	early := d.Issued.After(now.Add(skew))
	switch {
	case w.moment.Trust == entry.TrustNone, early && w.moment.Trust < entry.TrustClock:
		return w.ask(Decision{Verdict: entry.Look, Reason: entry.ReasonClock, Form: f.Ref()})
	case early:
		return w.ask(Decision{Verdict: entry.Look, Reason: entry.ReasonNotYet, Form: f.Ref()})
	case !now.Before(until):
		return w.ask(Decision{Verdict: entry.Refuse, Reason: entry.ReasonExpired, Form: f.Ref()})
	}
	decision := judge(f, answers(f, d), w.moment)
	switch decision.Reason {
	case entry.ReasonAnswered:
		if d.Issued.Before(past.Refused) {
			return w.ask(Decision{Verdict: entry.Look, Reason: entry.ReasonNeedsAnswers, Form: f.Ref()})
		}
		decision.Reason, decision.Until = entry.ReasonDeclared, until
	case entry.ReasonAnswers:
		decision = w.ask(decision)
	}
	return decision
}

// stale reports whether the list of keys is surely older than the policy lets it be: a clock that knows nothing cannot tell.
func (w weigher) stale() bool {
	p, m := w.policy, w.moment
	return p.TrustAge > 0 && !m.Keys.IsZero() && m.Trust != entry.TrustNone && m.Now.After(m.Keys.Add(p.TrustAge))
}

// proven weighs an authority's certificate whose signature holds. done is false of one that is in force and says less than
// the policy asks for: it still names the person.
func (w weigher) proven(c credential.Proof) (d Decision, done bool) {
	now, trust := w.moment.Now, w.moment.Trust
	early := c.Issued.After(now.Add(skew))
	switch {
	case trust == entry.TrustNone, early && trust < entry.TrustClock:
		return w.ask(verdict(entry.Look, entry.ReasonClock)), true
	case early:
		return w.ask(verdict(entry.Look, entry.ReasonNotYet)), true
	case !c.Expires.IsZero() && !now.Before(c.Expires):
		return w.ask(verdict(entry.Refuse, entry.ReasonExpired)), true
	}
	day, err := time.ParseInLocation(time.DateOnly, c.Date, now.Location())
	enough := w.policy.Doses > 0 && c.Doses >= w.policy.Doses // only a certificate of doses has any
	if err != nil || !enough || now.Before(day.AddDate(0, 0, w.policy.DaysSince)) {
		return d, false
	}
	return verdict(entry.Admit, entry.ReasonProven), true
}

// answers returns d's answers, with the plate, which a declaration carries beside them, among them.
func answers(f form.Form, d credential.Declaration) map[string]any {
	all := maps.Clone(d.Answers)
	for _, q := range f.Questions {
		if q.Type == form.Plate && d.Plate != "" && all != nil {
			all[q.ID] = d.Plate
		}
	}
	return all
}

// plain weighs who shows no declaration that counts.
func (w weigher) plain(c credential.Claims, past Past) Decision {
	if len(w.policy.Forms) == 0 {
		return bare(c, w.policy)
	}
	return w.remembered(past)
}

// remembered weighs what was declared here earlier; without that, the policy decides about a bare identity.
func (w weigher) remembered(past Past) Decision {
	f, ok := w.forms[past.Form]
	if past.Until.IsZero() || !ok || !w.wanted(f) {
		return w.unprovable(entry.ReasonNeedsAnswers)
	}
	now := w.moment.Now
	switch {
	case w.moment.Trust == entry.TrustNone, past.Until.After(now.Add(f.Freshness + skew)):
		// What no clock of today can have written was remembered under a clock that ran ahead.
		return w.unprovable(entry.ReasonClock)
	case !now.Before(past.Until):
		return w.unprovable(entry.ReasonExpired)
	}
	return Decision{Verdict: entry.Admit, Reason: entry.ReasonRemembered, Form: f.Ref()}
}

// unprovable is what the policy gives to somebody who shows no more than an identity; why is the reason of a look.
func (w weigher) unprovable(why entry.Reason) Decision {
	switch w.policy.Unprovable {
	case ActionAdmit:
		return verdict(entry.Admit, entry.ReasonIdentity)
	case ActionRefuse:
		return verdict(entry.Refuse, entry.ReasonUnprovable)
	}
	return w.ask(verdict(entry.Look, why))
}

// ask adds the questions that would help: those of the form that d is about, else of the first that is wanted.
func (w weigher) ask(d Decision) Decision {
	for _, id := range w.policy.Forms {
		f, ok := w.forms.Newest(id)
		if of, known := w.forms[d.Form]; known && of.ID != id {
			continue
		}
		if ok {
			d.Ask, d.Form = &f, f.Ref()
			return d
		}
	}
	return d
}

func (w weigher) wanted(f form.Form) bool { return slices.Contains(w.policy.Forms, f.ID) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
