package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/storage/entry"
)

const explainHelp = `usage: gatectl explain [-trust DIR] [-issuers DIR] [-bundle FILE] [-policy FILE] [-forms DIR -publisher FILE] [-rosters DIR] [-at RFC3339] [-direction in|out] FILE…

Says in words what a gate that remembers nobody would do with each code in the pictures or texts, and why. It shows of a
person what the gate's screen does. A FILE of - is standard input, one text a line.

`

func explainCommand(_ context.Context, e env, args []string) int {
	var v verifier
	fs := newFlags("explain", explainHelp)
	v.bind(fs)
	direction := fs.String("direction", "in", "which way the person goes")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	now, err := moment(v.at)
	if err != nil || fs.NArg() == 0 {
		return misused(e, fs, fmt.Sprintf("-at must be a time, and files must be named: %q, %q", v.at, fs.Args()))
	}
	m := admission.Moment{Now: now, Trust: entry.TrustClock}
	if m.Direction, err = entry.ParseDirection(*direction); err != nil {
		return misused(e, fs, err.Error())
	}
	if err := v.load(e); err != nil {
		return fail(e, "explain", err)
	}
	m.Keys = v.trust.Made
	for _, name := range fs.Args() {
		texts, err := textsOf(e, name)
		if err != nil {
			return fail(e, "explain", fmt.Errorf("%s: %w", name, err))
		}
		if len(texts) == 0 {
			return fail(e, "explain", fmt.Errorf("%s: no code", name))
		}
		for _, text := range texts {
			v.explain(e.out, text, m)
		}
	}
	return exitOK
}

func textsOf(e env, name string) ([]string, error) {
	if name != "-" {
		return codesIn(name)
	}
	text, err := io.ReadAll(io.LimitReader(e.in, maxCodeFile))
	if err != nil || len(text) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(text), "\r\n"), "\n"), nil
}

// explain tells what a code says, what the policy makes of it, and what the gate would show.
func (v *verifier) explain(w io.Writer, text string, m admission.Moment) {
	c := v.read(text, m.Now)
	d := admission.Decide(c, v.past(c), v.policy, v.forms, m)
	vi, en := admission.Words(d.Reason)
	fmt.Fprintf(w, "%s, %s: %s\n", strings.ToUpper(d.Verdict.String()), d.Reason, en)
	fmt.Fprintf(w, "  guard reads   %s\n", vi)
	fmt.Fprintf(w, "  code          %s, %s\n", c.Family, proof(c))
	if who := c.Person.Short(); who != "" {
		fmt.Fprintf(w, "  person        %s\n", who)
	}
	if s := c.Declaration; s != nil {
		fmt.Fprintf(w, "  declared      %s/%d, %s to %s\n", s.Form, s.Version, local(s.Issued, m), local(s.Expires, m))
	}
	if p := c.Proof; p != nil {
		fmt.Fprintf(w, "  proves        %s of %s, %s to %s\n", p.Use, p.Date, local(p.Issued, m), local(p.Expires, m))
	}
	fmt.Fprintf(w, "  at            %s, going %s\n", local(m.Now, m), m.Direction)
	fmt.Fprintf(w, "  policy        %s\n", v.wants())
	if d.Question != "" {
		fmt.Fprintf(w, "  decided by    question %q of %s\n", d.Question, d.Form)
	} else if d.Form != "" {
		fmt.Fprintf(w, "  form          %s\n", d.Form)
	}
	if d.Ask != nil {
		fmt.Fprintf(w, "  guard may ask %d questions of %s\n", len(d.Ask.Questions), d.Ask.Ref())
	}
	if !d.Until.IsZero() {
		fmt.Fprintf(w, "  remembered    until %s\n", local(d.Until, m))
	}
}

// proof says how far a code is to be believed.
func proof(c credential.Claims) string {
	switch {
	case c.Verified:
		return "its signature is a trusted key's"
	case c.Reason != "":
		return "of no use: " + c.Detail
	case c.Doubtful:
		return "proves nothing, in a layout that nobody has published"
	}
	return "proves nothing"
}

// wants says what the policy asks for.
func (v *verifier) wants() string {
	wants := []string{"any code", "no form"}
	if len(v.policy.Families) > 0 {
		var names []string
		for _, f := range v.policy.Families {
			names = append(names, string(f))
		}
		wants[0] = strings.Join(names, ", ")
	}
	if len(v.policy.Forms) > 0 {
		wants[1] = "a declaration on " + strings.Join(v.policy.Forms, " or ")
	}
	if len(v.policy.Expected) > 0 {
		wants = append(wants, "on the roster "+strings.Join(v.policy.Expected, " or "))
	}
	if len(v.policy.Barred) > 0 {
		wants = append(wants, "not on the roster "+strings.Join(v.policy.Barred, " or "))
	}
	return strings.Join(wants, "; ")
}

func local(t time.Time, m admission.Moment) string {
	return t.In(m.Now.Location()).Format(time.RFC3339)
}
