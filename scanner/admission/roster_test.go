package admission_test

import (
	"testing"
	"time"

	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

func TestRosters(t *testing.T) {
	p := with(func(p *admission.Policy) {
		p.Expected, p.Barred, p.Unprovable = []string{"workers", "guests"}, []string{"banned"}, admission.ActionAdmit
	})
	on := func(names ...string) admission.Past { return admission.Past{Rosters: names} }
	justCame := func(names ...string) admission.Past {
		past := last(noon.Add(-time.Second), entry.In)
		past.Rosters = names
		return past
	}
	barred := want{verdict: entry.Refuse, reason: entry.ReasonBarred}
	unexpected := want{verdict: entry.Look, reason: entry.ReasonUnexpected}
	identity := want{verdict: entry.Admit, reason: entry.ReasonIdentity}
	checkAll(t, map[string]decision{
		"expected":                    {card, on("guests"), p, in, identity},
		"on none":                     {card, on(), p, in, unexpected},
		"on another":                  {card, on("others"), p, in, unexpected},
		"barred":                      {card, on("banned"), p, in, barred},
		"barred and expected":         {card, on("workers", "banned"), p, in, barred},
		"barred since a moment ago":   {card, justCame("workers", "banned"), p, in, barred},
		"declared and barred":         {declared(nil), on("workers", "banned"), p, in, barred},
		"declared and not expected":   {declared(nil), on(), p, in, unexpected},
		"barred, of no meaning here":  {card, on("banned"), with(func(p *admission.Policy) { p.Unprovable = admission.ActionAdmit }), in, identity},
		"barred goes out":             {card, on("banned"), p, out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
		"unexpected goes out":         {card, on(), p, out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
		"came a moment ago, expected": {card, justCame("workers"), p, in, want{verdict: entry.Look, reason: entry.ReasonDuplicate}},
	})
}
