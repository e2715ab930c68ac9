package config

import (
	"fmt"
	"slices"
	"time"

	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/form/strict"
)

// DefaultPolicy takes every family and asks for a declaration on a shipped form, which the guard may take down.
func DefaultPolicy() admission.Policy {
	return admission.Policy{
		Families:   credential.Families(),
		Forms:      []string{"covid-2021", "food-fitness"},
		Unprovable: admission.ActionLook,
		Duplicate:  admission.DefaultDuplicate,
	}
}

// Policy reads a policy's file: schema = 1 and a table [policy], in which every key may be left out.
//
//	families   = ["cccd", "hd1"]   kinds of codes that are taken; all when left out
//	forms      = ["shift-fitness"] ids of the forms of which one is asked for; none when left out
//	unprovable = "look"            a bare identity: admit, look or refuse; when left out, look where forms are
//	                               asked for, else admit
//	freshness  = "12h"             how long a declaration counts at most; as the form says when left out
//	duplicate  = "10m"             the same person in the same direction is "already in" for so long
//	passback   = "soft"            the same direction again later: soft (pass, recorded so), hard (the guard looks) or off
//	doses      = 2                 an authority's certificate (hc1) of so many doses counts as a declaration; none when left out
//	days_since = 14                and the last of them is at least so many days ago
//	expected   = ["workers"]       rosters of which one must have the person; anybody may come when left out
//	barred     = ["banned"]        rosters of whom is not let in
//	trust_age  = "90d"             how old the bundle of trusted keys may be; as old as it is when left out
//	roll_call  = false             the guard's page may list the short names of those who are inside
//
// Its error lists every fault with its line.
func Policy(toml []byte) (admission.Policy, error) {
	var file struct {
		Schema int `toml:"schema"`
		Policy struct {
			Families   []credential.Family `toml:"families"`
			Forms      []string            `toml:"forms"`
			Unprovable admission.Action    `toml:"unprovable"`
			Freshness  time.Duration       `toml:"freshness"`
			Duplicate  time.Duration       `toml:"duplicate"`
			Passback   admission.Passback  `toml:"passback"`
			RollCall   bool                `toml:"roll_call"`
			Doses      int                 `toml:"doses"`
			DaysSince  int                 `toml:"days_since"`
			Expected   []string            `toml:"expected"`
			Barred     []string            `toml:"barred"`
			TrustAge   time.Duration       `toml:"trust_age"`
		} `toml:"policy"`
	}
	file.Policy.Duplicate = admission.DefaultDuplicate
	doc := strict.Decode(toml, &file)
	if err := doc.Syntax(); err != nil {
		return admission.Policy{}, err
	}
	doc.Schema(file.Schema, 1)
	if doc.Line("policy") == 0 {
		doc.Fault("", "the file has no table [policy]")
	}
	p := admission.Policy(file.Policy)
	checkPolicy(doc, &p)
	return p, doc.Err()
}

func checkPolicy(doc *strict.Doc, p *admission.Policy) {
	for i, f := range p.Families {
		if !slices.Contains(credential.Families(), f) {
			doc.Fault(fmt.Sprintf("policy.families.%d", i), "%q is not one of %q", f, credential.Families())
		}
	}
	once(doc, "forms", p.Forms)
	once(doc, "expected", p.Expected)
	once(doc, "barred", p.Barred)
	for i, name := range p.Barred {
		if slices.Contains(p.Expected, name) {
			doc.Fault(fmt.Sprintf("policy.barred.%d", i), "%q is expected too", name)
		}
	}
	switch p.Unprovable {
	case admission.ActionAdmit, admission.ActionLook, admission.ActionRefuse:
	case "":
		if doc.Has("policy.unprovable") {
			doc.Fault("policy.unprovable", `"" is not one of admit, look, refuse`)
		}
		p.Unprovable = admission.ActionLook
		if len(p.Forms) == 0 {
			p.Unprovable = admission.ActionAdmit
		}
	default:
		doc.Fault("policy.unprovable", "%q is not one of admit, look, refuse", p.Unprovable)
	}
	if doc.Has("policy.trust_age") && p.TrustAge < 24*time.Hour {
		doc.Fault("policy.trust_age", "needs a day or more")
	}
	if doc.Has("policy.freshness") && p.Freshness < time.Minute {
		doc.Fault("policy.freshness", "needs a minute or more")
	}
	switch p.Passback {
	case admission.PassbackSoft, admission.PassbackHard, admission.PassbackOff, "":
	default:
		doc.Fault("policy.passback", "%q is not one of soft, hard, off", p.Passback)
	}
	if p.Doses < 0 || p.Doses > 9 {
		doc.Fault("policy.doses", "needs a number from 1 to 9")
	}
	if p.DaysSince < 0 || p.DaysSince > 3660 || p.DaysSince > 0 && p.Doses == 0 {
		doc.Fault("policy.days_since", "needs a number of days up to 3660, and doses beside it")
	}
	if p.Duplicate > time.Hour {
		doc.Fault("policy.duplicate", "an hour at most: somebody may have left unseen")
	}
}

// once finds names that are empty or there twice.
func once(doc *strict.Doc, key string, names []string) {
	for i, name := range names {
		if name == "" || slices.Index(names, name) < i {
			doc.Fault(fmt.Sprintf("policy.%s.%d", key, i), "%q is empty or there twice", name)
		}
	}
}
