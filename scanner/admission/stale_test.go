package admission_test

import (
	"testing"
	"time"

	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// A list of keys that is too old proves nothing any more, and takes nothing from who needs no proof.
func TestStaleKeys(t *testing.T) {
	proof := credential.Claims{Family: credential.SHC, Verified: true, Person: card.Person, Proof: &credential.Proof{
		Use: claim.UseDose, Doses: 2, Date: "2026-01-01", Issued: noon.Add(-24 * time.Hour),
	}}
	p := with(func(p *admission.Policy) { p.Doses, p.TrustAge = 2, 30*24*time.Hour })
	made := func(m admission.Moment, ago time.Duration) admission.Moment {
		m.Keys = m.Now.Add(-ago)
		return m
	}
	day := 24 * time.Hour
	stale := want{verdict: entry.Look, reason: entry.ReasonStale, form: "shift/2", ask: "shift/2"}
	admit := want{verdict: entry.Admit, reason: entry.ReasonProven}
	free := admission.Policy{TrustAge: 30 * day, Unprovable: admission.ActionAdmit}
	checkAll(t, map[string]decision{
		"young":               {proof, admission.Past{}, p, made(in, 30*day), admit},
		"old":                 {proof, admission.Past{}, p, made(in, 30*day+1), stale},
		"old, declared":       {declared(nil), admission.Past{}, p, made(in, 31*day), stale},
		"old, ill":            {declared(answers("ill")), until(noon.Add(time.Hour)), p, made(in, 31*day), want{verdict: entry.Refuse, reason: entry.ReasonRefusedAnswer, form: "shift/1", forget: true, question: "ill"}},
		"old, at any age":     {proof, admission.Past{}, with(func(p *admission.Policy) { p.Doses = 2 }), made(in, 9999*day), admit},
		"nobody says":         {proof, admission.Past{}, p, in, admit},
		"old by no clock":     {proof, admission.Past{}, p, trusting(made(in, 31*day), entry.TrustNone), want{verdict: entry.Look, reason: entry.ReasonClock, form: "shift/2", ask: "shift/2"}},
		"old, remembered":     {proof, until(noon.Add(time.Hour)), p, made(in, 31*day), want{verdict: entry.Admit, reason: entry.ReasonRemembered, form: "shift/1"}},
		"old, none needed":    {proof, admission.Past{}, free, made(in, 31*day), want{verdict: entry.Admit, reason: entry.ReasonIdentity}},
		"old, a bare card":    {card, admission.Past{}, p, made(in, 31*day), want{verdict: entry.Look, reason: entry.ReasonNeedsAnswers, form: "shift/2", ask: "shift/2"}},
		"old, on the way out": {proof, admission.Past{}, p, made(out, 31*day), want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
	})
}
