package admission_test

import (
	"maps"
	"testing"
	"time"

	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

var (
	zone = time.FixedZone("ICT", 7*60*60)
	noon = time.Date(2026, 1, 31, 12, 0, 0, 0, zone)
	ill  = form.Question{ID: "ill", Type: form.YesNo, Refuses: []string{"yes"}}
	far  = form.Question{ID: "far", Type: form.YesNo, Asks: []string{"yes"}}
	// Two versions of one form, one form with a plate, and one that nobody asks for.
	forms = form.Set{
		"shift/1": {ID: "shift", Version: 1, Freshness: 12 * time.Hour, Questions: []form.Question{ill, far}},
		"shift/2": {ID: "shift", Version: 2, Freshness: 12 * time.Hour, Questions: []form.Question{ill, far}},
		"truck/1": {ID: "truck", Version: 1, Freshness: time.Hour, Questions: []form.Question{ill, {ID: "plate", Type: form.Plate}}},
		"other/1": {ID: "other", Version: 1, Freshness: time.Hour, Questions: []form.Question{ill}},
	}
	policy = admission.Policy{Forms: []string{"shift", "truck"}, Unprovable: admission.ActionLook, Duplicate: time.Minute}
	in     = admission.Moment{Now: noon, Trust: entry.TrustClock, Direction: entry.In}
	out    = admission.Moment{Now: noon, Trust: entry.TrustClock, Direction: entry.Out}
	card   = credential.Claims{Family: credential.CCCD, Person: credential.Person{Name: "Nguyễn Văn A", Birth: "1990", Number: "012345678912"}}
)

// declared returns claims with a declaration on shift/1 of one hour ago, good for a day, that nothing refuses.
func declared(change func(*credential.Declaration)) credential.Claims {
	d := &credential.Declaration{
		Form: "shift", Version: 1, Issued: noon.Add(-time.Hour), Expires: noon.Add(23 * time.Hour),
		Answers: map[string]any{"ill": false, "far": false},
	}
	if change != nil {
		change(d)
	}
	return credential.Claims{Family: credential.HD1, Verified: true, Person: card.Person, Declaration: d}
}

func answers(id string) func(*credential.Declaration) {
	return func(d *credential.Declaration) { d.Answers[id] = true }
}

func at(m admission.Moment, now time.Time) admission.Moment { m.Now = now; return m }

func trusting(m admission.Moment, t entry.Trust) admission.Moment { m.Trust = t; return m }

func with(change func(*admission.Policy)) admission.Policy {
	p := policy
	change(&p)
	return p
}

func until(t time.Time) admission.Past { return admission.Past{Until: t, Form: "shift/1"} }

func last(t time.Time, d entry.Direction) admission.Past {
	return admission.Past{Last: t, LastDirection: d}
}

// want is what a test expects of a Decision.
type want struct {
	verdict  entry.Verdict
	reason   entry.Reason
	form     string
	ask      string
	until    time.Time
	forget   bool
	question string
}

func check(t *testing.T, name string, d admission.Decision, w want) {
	t.Helper()
	ask := ""
	if d.Ask != nil {
		ask = d.Ask.Ref()
	}
	got := want{d.Verdict, d.Reason, d.Form, ask, d.Until, d.Forget, d.Question}
	if !got.until.Equal(w.until) {
		t.Errorf("%s: remembered until %v, want %v", name, got.until, w.until)
	}
	got.until = w.until
	if got != w {
		t.Errorf("%s: got %+v, want %+v", name, got, w)
	}
}

type decision struct {
	claims credential.Claims
	past   admission.Past
	policy admission.Policy
	moment admission.Moment
	want   want
}

func checkAll(t *testing.T, tests map[string]decision) {
	t.Helper()
	for name, test := range tests {
		check(t, name, admission.Decide(test.claims, test.past, test.policy, forms, test.moment), test.want)
	}
}

func TestDeclared(t *testing.T) {
	none, midnight := admission.Past{}, time.Date(2026, 2, 1, 0, 0, 0, 0, zone)
	fresh := noon.Add(11 * time.Hour)
	admit := want{verdict: entry.Admit, reason: entry.ReasonDeclared, form: "shift/1", until: fresh}
	shorter, earlier := admit, admit
	shorter.until, earlier.until = noon.Add(time.Hour), noon.Add(time.Minute)
	expired := want{verdict: entry.Refuse, reason: entry.ReasonExpired, form: "shift/2", ask: "shift/2"}
	refused := want{verdict: entry.Refuse, reason: entry.ReasonRefusedAnswer, form: "shift/1", forget: true, question: "ill"}
	asked := want{verdict: entry.Look, reason: entry.ReasonAskedAnswer, form: "shift/1", forget: true, question: "far"}
	clock := want{verdict: entry.Look, reason: entry.ReasonClock, form: "shift/2", ask: "shift/2"}
	notYet, other, misfit := clock, clock, clock
	notYet.reason, other.reason = entry.ReasonNotYet, entry.ReasonForm
	misfit.reason, misfit.question = entry.ReasonAnswers, "ill"
	remembered := want{verdict: entry.Admit, reason: entry.ReasonRemembered, form: "shift/1"}
	future := func(d *credential.Declaration) { d.Issued = noon.Add(6 * time.Minute) }
	unasked := declared(func(d *credential.Declaration) { d.Form = "other" })
	truck := declared(func(d *credential.Declaration) {
		d.Form, d.Plate, d.Answers = "truck", "29A-12345", map[string]any{"ill": false}
		d.Issued = noon
	})
	checkAll(t, map[string]decision{
		"fresh":                   {declared(nil), none, policy, in, admit},
		"last moment":             {declared(nil), none, policy, at(in, fresh.Add(-1)), admit},
		"over":                    {declared(nil), none, policy, at(in, fresh), expired},
		"across midnight":         {declared(nil), none, policy, at(in, midnight.Add(-2*time.Hour)), admit},
		"own end":                 {declared(func(d *credential.Declaration) { d.Expires = noon.Add(time.Minute) }), none, policy, in, earlier},
		"past its own end":        {declared(func(d *credential.Declaration) { d.Expires = noon }), none, policy, in, expired},
		"policy is stricter":      {declared(nil), none, with(func(p *admission.Policy) { p.Freshness = 2 * time.Hour }), in, shorter},
		"policy is no laxer":      {declared(nil), none, with(func(p *admission.Policy) { p.Freshness = 24 * time.Hour }), in, admit},
		"refusing answer":         {declared(answers("ill")), none, policy, in, refused},
		"refusing, remembered":    {declared(answers("ill")), until(fresh), policy, in, refused},
		"asking answer":           {declared(answers("far")), until(fresh), policy, in, asked},
		"expired, refusing":       {declared(answers("ill")), none, policy, at(in, fresh), expired},
		"expired, remembered":     {declared(nil), until(fresh.Add(time.Hour)), policy, at(in, fresh), remembered},
		"answers do not fit":      {declared(func(d *credential.Declaration) { delete(d.Answers, "ill") }), none, policy, in, misfit},
		"form of another venue":   {unasked, none, policy, in, other},
		"other form, remembered":  {unasked, until(fresh), policy, in, remembered},
		"unknown version":         {declared(func(d *credential.Declaration) { d.Version = 9 }), none, policy, in, other},
		"from the future":         {declared(future), none, policy, in, notYet},
		"a little in the future":  {declared(func(d *credential.Declaration) { d.Issued = noon.Add(5 * time.Minute) }), none, policy, in, want{verdict: entry.Admit, reason: entry.ReasonDeclared, form: "shift/1", until: noon.Add(12*time.Hour + 5*time.Minute)}},
		"future, doubtful clock":  {declared(future), none, policy, trusting(in, entry.TrustSeen), clock},
		"no clock":                {declared(nil), none, policy, trusting(in, entry.TrustNone), clock},
		"no clock, over":          {declared(nil), none, policy, trusting(at(in, fresh), entry.TrustNone), clock},
		"clock seen":              {declared(nil), none, policy, trusting(in, entry.TrustSeen), admit},
		"clock seen, over":        {declared(nil), none, policy, trusting(at(in, fresh), entry.TrustSeen), expired},
		"clock a year back":       {declared(nil), none, policy, at(in, noon.AddDate(-1, 0, 0)), notYet},
		"plate beside answers":    {truck, none, policy, in, want{verdict: entry.Admit, reason: entry.ReasonDeclared, form: "truck/1", until: noon.Add(time.Hour)}},
		"no form needed":          {declared(nil), none, with(func(p *admission.Policy) { p.Forms = nil }), in, want{verdict: entry.Admit, reason: entry.ReasonIdentity}},
		"family not taken":        {declared(nil), none, with(func(p *admission.Policy) { p.Families = []credential.Family{credential.CCCD} }), in, want{verdict: entry.Look, reason: entry.ReasonFamily}},
		"leaving":                 {declared(answers("ill")), none, policy, out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
		"leaving, not taken here": {declared(nil), none, with(func(p *admission.Policy) { p.Families = []credential.Family{credential.CCCD} }), out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
	})
	if truck.Declaration.Answers["plate"] != nil {
		t.Error("Decide changed the claims")
	}
}

func TestRemembered(t *testing.T) {
	admit := want{verdict: entry.Admit, reason: entry.ReasonRemembered, form: "shift/1"}
	ask := want{verdict: entry.Look, reason: entry.ReasonNeedsAnswers, form: "shift/2", ask: "shift/2"}
	expired, clock := ask, ask
	expired.reason, clock.reason = entry.ReasonExpired, entry.ReasonClock
	soon := noon.Add(time.Hour)
	gone := admission.Past{Until: soon, Form: "gone/1"}
	unasked := admission.Past{Until: soon, Form: "other/1"}
	admitting := with(func(p *admission.Policy) { p.Unprovable = admission.ActionAdmit })
	refusing := with(func(p *admission.Policy) { p.Unprovable = admission.ActionRefuse })
	identity := want{verdict: entry.Admit, reason: entry.ReasonIdentity}
	unprovable := want{verdict: entry.Refuse, reason: entry.ReasonUnprovable}
	checkAll(t, map[string]decision{
		"never seen":              {card, admission.Past{}, policy, in, ask},
		"no action named":         {card, admission.Past{}, with(func(p *admission.Policy) { p.Unprovable = "" }), in, ask},
		"remembered":              {card, until(soon), policy, in, admit},
		"remembered, refusing":    {card, until(soon), refusing, in, admit},
		"remembered, admitting":   {card, until(soon), admitting, in, admit},
		"until now":               {card, until(noon), policy, in, expired},
		"form is gone":            {card, gone, policy, in, ask},
		"form is not asked":       {card, unasked, policy, in, ask},
		"clock ran ahead":         {card, until(noon.AddDate(1, 0, 0)), policy, in, clock},
		"no clock":                {card, until(soon), policy, trusting(in, entry.TrustNone), clock},
		"clock seen":              {card, until(soon), policy, trusting(in, entry.TrustSeen), admit},
		"identity suffices":       {card, admission.Past{}, admitting, in, identity},
		"identity after the end":  {card, until(noon), admitting, in, identity},
		"identity never suffices": {card, admission.Past{}, refusing, in, unprovable},
	})
}

func TestNoFormNeeded(t *testing.T) {
	for action, w := range map[admission.Action]want{
		admission.ActionAdmit:  {verdict: entry.Admit, reason: entry.ReasonIdentity},
		admission.ActionLook:   {verdict: entry.Look, reason: entry.ReasonUnprovable},
		admission.ActionRefuse: {verdict: entry.Refuse, reason: entry.ReasonUnprovable},
	} {
		p := admission.Policy{Unprovable: action}
		check(t, string(action), admission.Decide(card, admission.Past{}, p, forms, in), w)
	}
}

func TestDuplicate(t *testing.T) {
	ask := want{verdict: entry.Look, reason: entry.ReasonNeedsAnswers, form: "shift/2", ask: "shift/2"}
	already := want{verdict: entry.Look, reason: entry.ReasonDuplicate}
	leaving := want{verdict: entry.Admit, reason: entry.ReasonLeaving}
	midnight := time.Date(2026, 2, 1, 0, 0, 0, 0, zone)
	checkAll(t, map[string]decision{
		"a moment ago":         {card, last(noon.Add(-time.Second), entry.In), policy, in, already},
		"at once":              {card, last(noon, entry.In), policy, in, already},
		"across midnight":      {card, last(midnight.Add(-time.Second), entry.In), policy, at(in, midnight), already},
		"long ago":             {card, last(noon.Add(-time.Minute), entry.In), policy, in, ask},
		"went out in between":  {card, last(noon.Add(-time.Second), entry.Out), policy, in, ask},
		"goes out at once":     {card, last(noon.Add(-time.Second), entry.In), policy, out, leaving},
		"goes out again":       {card, last(noon.Add(-time.Second), entry.Out), policy, out, want{verdict: entry.Admit, reason: entry.ReasonDuplicate}},
		"clock went back":      {card, last(noon.Add(time.Second), entry.In), policy, in, ask},
		"clock a year back":    {card, last(noon.AddDate(1, 0, 0), entry.In), policy, in, ask},
		"no window":            {card, last(noon, entry.In), with(func(p *admission.Policy) { p.Duplicate = 0 }), in, ask},
		"refusing declaration": {declared(answers("ill")), last(noon, entry.In), policy, in, want{verdict: entry.Refuse, reason: entry.ReasonRefusedAnswer, form: "shift/1", forget: true, question: "ill"}},
	})
}

func TestNobody(t *testing.T) {
	for reason, w := range map[entry.Reason][2]entry.Verdict{ // in, out
		entry.ReasonUnknown:   {entry.Unreadable, entry.Unreadable},
		entry.ReasonMalformed: {entry.Look, entry.Look},
		entry.ReasonNotPerson: {entry.Look, entry.Look},
		entry.ReasonKnown:     {entry.Look, entry.Look},
		entry.ReasonSigner:    {entry.Look, entry.Look},
		entry.ReasonSignature: {entry.Refuse, entry.Look},
	} {
		c := credential.Claims{Family: credential.HD1, Reason: reason}
		for i, m := range []admission.Moment{in, out} {
			check(t, string(reason), admission.Decide(c, until(noon.Add(time.Hour)), policy, forms, m), want{verdict: w[i], reason: reason})
			check(t, string(reason), admission.Answer(c, forms["shift/2"], nil, policy, m), want{verdict: w[i], reason: reason})
		}
	}
}

func TestAnswer(t *testing.T) {
	f := forms["shift/2"]
	good := map[string]any{"ill": false, "far": false}
	admit := want{verdict: entry.Admit, reason: entry.ReasonAnswered, form: "shift/2", until: noon.Add(12 * time.Hour)}
	shorter := admit
	shorter.until = noon.Add(time.Hour)
	strict := with(func(p *admission.Policy) { p.Freshness = time.Hour })
	for name, test := range map[string]struct {
		form   form.Form
		change map[string]any
		policy admission.Policy
		moment admission.Moment
		want   want
	}{
		"good":            {f, nil, policy, in, admit},
		"stricter policy": {f, nil, strict, in, shorter},
		"no clock":        {f, nil, policy, trusting(in, entry.TrustNone), admit},
		"refusing":        {f, map[string]any{"ill": true}, policy, in, want{verdict: entry.Refuse, reason: entry.ReasonRefusedAnswer, form: "shift/2", forget: true, question: "ill"}},
		"asking":          {f, map[string]any{"far": true}, policy, in, want{verdict: entry.Look, reason: entry.ReasonAskedAnswer, form: "shift/2", forget: true, question: "far"}},
		"not complete":    {f, map[string]any{"far": nil}, policy, in, want{verdict: entry.Look, reason: entry.ReasonAnswers, form: "shift/2", ask: "shift/2", question: "far"}},
		"not asked here":  {forms["other/1"], nil, policy, in, want{verdict: entry.Look, reason: entry.ReasonForm, form: "other/1"}},
		"leaving":         {f, map[string]any{"ill": true}, policy, out, want{verdict: entry.Admit, reason: entry.ReasonLeaving}},
	} {
		answers := maps.Clone(good)
		maps.Copy(answers, test.change)
		check(t, name, admission.Answer(card, test.form, answers, test.policy, test.moment), test.want)
	}
}

// Whatever a person shows and a policy wants: nobody readable is kept in, green always says why, and nothing is
// remembered or asked that does not belong to the verdict.
func TestEveryCombination(t *testing.T) {
	var all []credential.Claims
	for _, f := range credential.Families() {
		all = append(all, credential.Claims{Family: f, Person: card.Person})
	}
	all = append(all, declared(nil), declared(answers("ill")), declared(answers("far")), declared(func(d *credential.Declaration) { d.Answers = nil }))
	pasts := []admission.Past{{}, until(noon.Add(time.Hour)), until(noon.Add(-time.Hour)), last(noon, entry.In), last(noon, entry.Out)}
	green := map[entry.Reason]bool{
		entry.ReasonDeclared: true, entry.ReasonRemembered: true, entry.ReasonIdentity: true, entry.ReasonLeaving: true, entry.ReasonDuplicate: true,
	}
	n := 0
	for _, c := range all {
		for _, past := range pasts {
			for _, action := range []admission.Action{"", admission.ActionAdmit, admission.ActionLook, admission.ActionRefuse} {
				for _, wanted := range [][]string{nil, {"shift"}, {"absent"}, {"absent", "shift"}} {
					for _, trust := range []entry.Trust{entry.TrustNone, entry.TrustSeen, entry.TrustClock, entry.TrustNetwork} {
						for i, m := range []admission.Moment{in, in, in, in, in, out} {
							n++
							p := admission.Policy{Forms: wanted, Unprovable: action, Duplicate: time.Minute}
							if i > 0 {
								p.Expected, p.Barred = []string{"workers"}, []string{"banned"}
								past.Rosters = [][]string{{}, {"workers"}, {"banned"}, {"workers", "banned"}, {"banned"}}[i-1]
							}
							d := admission.Decide(c, past, p, forms, trusting(m, trust))
							switch {
							case (i == 3 || i == 4) != (d.Reason == entry.ReasonBarred), d.Reason == entry.ReasonBarred && d.Verdict != entry.Refuse:
								t.Errorf("on %q: %v, %s", past.Rosters, d.Verdict, d.Reason)
							case i == 1 && d.Verdict == entry.Admit, i != 1 && d.Reason == entry.ReasonUnexpected:
								t.Errorf("on %q, expected %q: %v, %s", past.Rosters, p.Expected, d.Verdict, d.Reason)
							case m.Direction == entry.Out && d.Verdict != entry.Admit:
								t.Errorf("%s is kept in: %+v", c.Family, d)
							case d.Verdict == entry.Admit && !green[d.Reason]:
								t.Errorf("admitted for %s", d.Reason)
							case d.Verdict < entry.Admit || d.Verdict > entry.Refuse:
								t.Errorf("verdict %v for a person", d.Verdict)
							case !d.Until.IsZero() && d.Reason != entry.ReasonDeclared:
								t.Errorf("remembered for %s", d.Reason)
							case d.Verdict == entry.Admit && (d.Ask != nil || d.Forget || d.Question != ""):
								t.Errorf("admitted with %+v", d)
							case d.Reason == entry.ReasonExpired && trust == entry.TrustNone:
								t.Error("expired by a clock that knows nothing")
							}
						}
					}
				}
			}
		}
	}
	if n < 5000/2 {
		t.Errorf("only %d combinations", n)
	}
}

// A healthy declaration from before a refused answer does not outweigh it; a later one does.
func TestOlderDeclarationAfterARefusal(t *testing.T) {
	healthy := declared(nil)
	issued := healthy.Declaration.Issued
	for at, v := range map[time.Time]entry.Verdict{issued.Add(time.Minute): entry.Look, issued.Add(-time.Minute): entry.Admit} {
		d := admission.Decide(healthy, admission.Past{Refused: at}, policy, forms, in)
		if d.Verdict != v {
			t.Errorf("refused %v after it was issued: %v (%s), want %v", at.Sub(issued), d.Verdict, d.Reason, v)
		}
	}
}
