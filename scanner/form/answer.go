package form

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/storage/entry"
)

// Judge says what follows from answers, by question id, to f: Admit with ReasonAnswered, Refuse with
// ReasonRefusedAnswer, Look with ReasonAskedAnswer, or Look with ReasonAnswers when they do not fit the form.
// A refusing answer outweighs one that must be looked into. question is the id that decided; it says something
// of the person. at is when the person stands at the gate, in the venue's zone: what is valid until a day
// is good until that day ends there.
func (f Form) Judge(answers map[string]any, at time.Time) (v entry.Verdict, r entry.Reason, question string) {
	for id := range answers {
		if _, ok := f.Question(id); !ok {
			return entry.Look, entry.ReasonAnswers, id
		}
	}
	for _, q := range f.Questions {
		if _, err := q.Normal(answers[q.ID]); err != nil {
			return entry.Look, entry.ReasonAnswers, q.ID
		}
	}
	v, r = entry.Admit, entry.ReasonAnswered
	for _, q := range f.Questions {
		a, _ := q.Normal(answers[q.ID])
		switch {
		case q.falls(a, q.Refuses, q.RefusesBelow, at):
			return entry.Refuse, entry.ReasonRefusedAnswer, q.ID
		case v == entry.Admit && q.falls(a, q.Asks, q.AsksBelow, at):
			v, r, question = entry.Look, entry.ReasonAskedAnswer, q.ID
		}
	}
	return v, r, question
}

// falls reports whether a normal answer is in list, or below a limit of days.
func (q Question) falls(answer any, list []string, below int, at time.Time) bool {
	switch a := answer.(type) {
	case bool:
		word := map[bool]string{true: "yes", false: "no"}[a]
		return slices.Contains(list, word)
	case int64:
		return a < int64(below)
	case string:
		if q.Type == ValidUntil { // days in this layout sort as texts do
			return a < at.Format(time.DateOnly) && slices.Contains(list, "past")
		}
		return slices.Contains(list, a)
	}
	return false
}

var plate = regexp.MustCompile(`^[0-9A-ZĐ][0-9A-ZĐ .-]{2,14}$`)

// Normal returns an answer in the one shape that declarations carry: bool, int64 or string. It takes what
// JSON makes of numbers too. The error says what the question needs, not what was answered.
func (q Question) Normal(answer any) (any, error) {
	switch a := answer.(type) {
	case nil:
		return nil, fmt.Errorf("%s: not answered", q.ID)
	case bool:
		if q.Type == YesNo {
			return a, nil
		}
	case int:
		return q.Normal(int64(a))
	case float64:
		if a == math.Trunc(a) && math.Abs(a) <= maxPast {
			return q.Normal(int64(a))
		}
	case int64:
		if q.Type == DaysSince && a >= 0 && a <= maxPast {
			return a, nil
		}
	case string:
		if q.fits(a) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%s: needs %s", q.ID, q.needs())
}

func (q Question) fits(a string) bool {
	switch q.Type {
	case OneOf:
		return slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.ID == a })
	case ValidUntil:
		_, err := time.Parse(time.DateOnly, a)
		return err == nil
	case Plate:
		return plate.MatchString(a)
	}
	return false
}

// needs says in words what answers q takes.
func (q Question) needs() string {
	switch q.Type {
	case YesNo:
		return "yes or no"
	case OneOf:
		ids := make([]string, len(q.Choices))
		for i, c := range q.Choices {
			ids[i] = c.ID
		}
		return "one of " + strings.Join(ids, ", ")
	case DaysSince:
		return fmt.Sprintf("a whole number of days, 0 to %d", maxPast)
	case ValidUntil:
		return "a day as yyyy-mm-dd"
	}
	return "a plate, such as 29A-123.45"
}

// Read returns the answer that a person wrote: "yes", "không", "3", "2026-01-31", a choice's id, a plate.
func (q Question) Read(text string) (any, error) {
	text = strings.TrimSpace(text)
	switch q.Type {
	case YesNo:
		switch strings.ToLower(text) {
		case "yes", "true", "có":
			return true, nil
		case "no", "false", "không":
			return false, nil
		}
	case DaysSince:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return q.Normal(n)
		}
	case Plate:
		return q.Normal(strings.ToUpper(text))
	}
	return q.Normal(text)
}
