package admission_test

import (
	"testing"
	"time"

	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

func TestProven(t *testing.T) {
	proof := func(change func(*credential.Proof)) credential.Claims {
		p := &credential.Proof{Use: claim.UseDose, Doses: 2, Of: 2, Date: "2026-01-17", Issued: noon.Add(-24 * time.Hour), Expires: noon.Add(24 * time.Hour)}
		if change != nil {
			change(p)
		}
		return credential.Claims{Family: credential.HC1, Verified: true, Person: card.Person, Proof: p}
	}
	doses := with(func(p *admission.Policy) { p.Doses, p.DaysSince = 2, 14 })
	free := admission.Policy{}
	none := admission.Past{}
	asks := func(v entry.Verdict, r entry.Reason) want {
		return want{verdict: v, reason: r, form: "shift/2", ask: "shift/2"}
	}
	admit := want{verdict: entry.Admit, reason: entry.ReasonProven}
	past := func(p *credential.Proof) { p.Expires = noon }
	checkAll(t, map[string]decision{
		"two doses, fourteen days":   {proof(nil), none, doses, in, admit},
		"thirteen days":              {proof(func(p *credential.Proof) { p.Date = "2026-01-18" }), none, doses, in, asks(entry.Look, entry.ReasonNeedsAnswers)},
		"one dose":                   {proof(func(p *credential.Proof) { p.Doses = 1 }), none, doses, in, asks(entry.Look, entry.ReasonNeedsAnswers)},
		"a day that cannot be read":  {proof(func(p *credential.Proof) { p.Date = "" }), none, doses, in, asks(entry.Look, entry.ReasonNeedsAnswers)},
		"a test":                     {proof(func(p *credential.Proof) { p.Use, p.Doses = claim.UseTest, 0 }), none, doses, in, asks(entry.Look, entry.ReasonNeedsAnswers)},
		"a policy without doses":     {proof(nil), none, policy, in, asks(entry.Look, entry.ReasonNeedsAnswers)},
		"a policy without forms":     {proof(nil), none, free, in, want{verdict: entry.Admit, reason: entry.ReasonIdentity}},
		"answered here before":       {proof(nil), until(noon.Add(time.Hour)), policy, in, want{verdict: entry.Admit, reason: entry.ReasonRemembered, form: "shift/1"}},
		"over":                       {proof(past), none, doses, in, asks(entry.Refuse, entry.ReasonExpired)},
		"over, by a time that stood": {proof(past), none, doses, trusting(in, entry.TrustSeen), asks(entry.Refuse, entry.ReasonExpired)},
		"over, by no clock":          {proof(past), none, doses, trusting(in, entry.TrustNone), asks(entry.Look, entry.ReasonClock)},
		"without an end":             {proof(func(p *credential.Proof) { p.Expires = time.Time{} }), none, doses, in, admit},
		"not yet":                    {proof(func(p *credential.Proof) { p.Issued = noon.Add(time.Hour) }), none, doses, in, asks(entry.Look, entry.ReasonNotYet)},
		"not yet, by an old time":    {proof(func(p *credential.Proof) { p.Issued = noon.Add(time.Hour) }), none, doses, trusting(in, entry.TrustSeen), asks(entry.Look, entry.ReasonClock)},
		"on the way out":             {proof(past), none, doses, out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
	})
}
