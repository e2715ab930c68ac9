// Package form holds what a venue asks, as data: signed TOML files say the questions, which answers refuse,
// which the guard must look into, and how long a declaration stays fresh. No trade and no illness is named in
// this code; whoever writes a file decides what it is for.
//
// The package is pure but for reading the files it is told to. It does not promise that a form is wise: Check
// with "gatectl form check" before signing.
package form

import (
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"gatepost/scanner/form/strict"
)

// Schema is the version of the files' layout.
const Schema = 1

// Limits of a form. They keep a declaration on it within one small code.
const (
	maxQuestions = 32
	maxChoices   = 16
	maxText      = 400 // bytes of one text in one language
	maxPast      = 3660
)

// Text is one text in both languages of the gate.
type Text struct {
	VI string `toml:"vi"`
	EN string `toml:"en"`
}

// A Form is what one file says.
type Form struct {
	ID        string        `toml:"id"`        // "shift-fitness"
	Version   int           `toml:"version"`   // from 1; a change of any question needs a new one
	Title     Text          `toml:"title"`     // for the guard and the person
	Freshness time.Duration `toml:"freshness"` // how long an admitting declaration counts
	Retention time.Duration `toml:"retention"` // how long records on this form should be kept
	Subject   string        `toml:"subject"`   // "person" or "vehicle"
	Questions []Question    `toml:"question"`
}

// Type is the kind of a question.
type Type string

const (
	YesNo      Type = "yes-no"      // true or false
	OneOf      Type = "choice"      // the id of a choice
	DaysSince  Type = "days-since"  // a whole number of days
	ValidUntil Type = "valid-until" // a day, yyyy-mm-dd; good until that day ends
	Plate      Type = "plate"       // of a vehicle; never refuses
)

// A Question is one item of a form.
type Question struct {
	ID           string   `toml:"id"` // short: it travels inside every declaration
	Text         Text     `toml:"text"`
	Type         Type     `toml:"type"`
	Choices      []Choice `toml:"choice"`        // of OneOf
	Refuses      []string `toml:"refuses"`       // answers that refuse: "yes", "no", ids of choices, "past"
	Asks         []string `toml:"asks"`          // answers that the guard must look into
	RefusesBelow int      `toml:"refuses_below"` // of DaysSince: fewer days refuse
	AsksBelow    int      `toml:"asks_below"`    // of DaysSince: fewer days must be looked into
}

// A Choice is one answer to a question of type OneOf.
type Choice struct {
	ID   string `toml:"id"`
	Text Text   `toml:"text"`
}

// Ref names the form with its version: "shift-fitness/1".
func (f Form) Ref() string { return fmt.Sprintf("%s/%d", f.ID, f.Version) }

// Question returns the question with an id.
func (f Form) Question(id string) (Question, bool) {
	i := slices.IndexFunc(f.Questions, func(q Question) bool { return q.ID == id })
	if i < 0 {
		return Question{}, false
	}
	return f.Questions[i], true
}

// Parse reads a form's file. Its error lists all faults with their lines.
func Parse(toml []byte) (Form, error) {
	var file struct {
		Schema int `toml:"schema"`
		Form
	}
	file.Subject = "person"
	doc := strict.Decode(toml, &file)
	if err := doc.Syntax(); err != nil {
		return Form{}, err
	}
	doc.Schema(file.Schema, Schema)
	file.check(doc)
	if err := doc.Err(); err != nil {
		return Form{}, err
	}
	return file.Form, nil
}

var id = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

const idRule = "needs 1 to 32 small letters, digits and hyphens, a letter first"

func (f Form) check(doc *strict.Doc) {
	if !id.MatchString(f.ID) {
		doc.Fault("id", idRule)
	}
	if f.Version < 1 || f.Version > 9999 {
		doc.Fault("version", "needs a number from 1 to 9999")
	}
	f.Title.check(doc, "title")
	if f.Freshness < time.Minute || f.Freshness > 366*24*time.Hour {
		doc.Fault("freshness", "needs a duration from a minute to 366 days")
	}
	if f.Retention < 24*time.Hour {
		doc.Fault("retention", "needs a duration of a day or more")
	}
	if f.Subject != "person" && f.Subject != "vehicle" {
		doc.Fault("subject", `needs "person" or "vehicle"`)
	}
	if len(f.Questions) == 0 || len(f.Questions) > maxQuestions {
		doc.Fault("question", "needs 1 to %d [[question]]", maxQuestions)
	}
	seen := map[string]bool{}
	plates := 0
	for i, q := range f.Questions {
		path := fmt.Sprintf("question.%d", i)
		if q.Type == Plate {
			plates++
		}
		if plates > 1 && q.Type == Plate {
			doc.Fault(path+".type", "a form asks for one plate at most")
		}
		if seen[q.ID] {
			doc.Fault(path+".id", "%q is the id of an earlier question", q.ID)
		}
		seen[q.ID] = true
		q.check(doc, path)
	}
}

func (t Text) check(doc *strict.Doc, path string) {
	for lang, s := range map[string]string{"vi": t.VI, "en": t.EN} {
		if s == "" || len(s) > maxText || !utf8.ValidString(s) {
			doc.Fault(path+"."+lang, "needs a text of 1 to %d bytes", maxText)
		}
	}
}

func (q Question) check(doc *strict.Doc, path string) {
	if !id.MatchString(q.ID) {
		doc.Fault(path+".id", idRule)
	}
	q.Text.check(doc, path+".text")
	var answers []string
	switch q.Type {
	case YesNo:
		answers = []string{"yes", "no"}
	case OneOf:
		answers = q.checkChoices(doc, path)
	case ValidUntil:
		answers = []string{"past"}
	case DaysSince, Plate:
	default:
		doc.Fault(path+".type", "%q is not one of yes-no, choice, days-since, valid-until, plate", q.Type)
		return
	}
	if q.Type != OneOf && len(q.Choices) > 0 {
		doc.Fault(path+".choice", "belongs to the type choice alone")
	}
	for key, list := range map[string][]string{"refuses": q.Refuses, "asks": q.Asks} {
		for _, a := range list {
			if !slices.Contains(answers, a) {
				doc.Fault(path+"."+key, "%q is no answer of this question; its answers here are %q", a, answers)
			}
		}
	}
	for key, n := range map[string]int{"refuses_below": q.RefusesBelow, "asks_below": q.AsksBelow} {
		if n != 0 && q.Type != DaysSince {
			doc.Fault(path+"."+key, "belongs to the type days-since alone")
		} else if n < 0 || n > maxPast {
			doc.Fault(path+"."+key, "needs a number from 0 to %d", maxPast)
		}
	}
}

// checkChoices returns the ids of the choices.
func (q Question) checkChoices(doc *strict.Doc, path string) (ids []string) {
	if len(q.Choices) < 2 || len(q.Choices) > maxChoices {
		doc.Fault(path+".choice", "needs 2 to %d [[question.choice]]", maxChoices)
	}
	for i, c := range q.Choices {
		at := fmt.Sprintf("%s.choice.%d", path, i)
		if !id.MatchString(c.ID) {
			doc.Fault(at+".id", idRule)
		} else if slices.Contains(ids, c.ID) {
			doc.Fault(at+".id", "%q is the id of an earlier choice", c.ID)
		}
		c.Text.check(doc, at+".text")
		ids = append(ids, c.ID)
	}
	return ids
}
