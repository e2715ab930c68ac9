package form_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

const sample = `schema = 1
id = "sample"
version = 2
title = { vi = "Mẫu", en = "Sample" }
freshness = "12h"
retention = "30d"

[[question]]
id = "ill"
text = { vi = "Ốm?", en = "Ill?" }
type = "yes-no"
refuses = ["yes"]

[[question]]
id = "line"
text = { vi = "Dây chuyền?", en = "Line?" }
type = "choice"
refuses = ["c"]
asks = ["b"]
choice = [
  { id = "a", text = { vi = "A", en = "A" } },
  { id = "b", text = { vi = "B", en = "B" } },
  { id = "c", text = { vi = "C", en = "C" } },
]

[[question]]
id = "days"
text = { vi = "Mấy ngày?", en = "Days?" }
type = "days-since"
refuses_below = 2
asks_below = 7

[[question]]
id = "course"
text = { vi = "Hạn?", en = "Valid until?" }
type = "valid-until"
refuses = ["past"]

[[question]]
id = "truck"
text = { vi = "Biển số?", en = "Plate?" }
type = "plate"
`

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func public(b byte) ed25519.PublicKey { return key(b).Public().(ed25519.PublicKey) }

func parsed(t *testing.T) form.Form {
	f, err := form.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"plain": sample, "bom": "\uFEFF" + sample, "crlf": strings.ReplaceAll(sample, "\n", "\r\n"),
	} {
		f, err := form.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if f.Ref() != "sample/2" || f.Freshness != 12*time.Hour || f.Retention != 30*24*time.Hour || f.Title.VI != "Mẫu" || f.Subject != "person" {
			t.Errorf("%s: got %+v", name, f)
		}
		if len(f.Questions) != 5 || f.Questions[1].Choices[2].ID != "c" || f.Questions[2].AsksBelow != 7 {
			t.Errorf("%s: questions are %+v", name, f.Questions)
		}
	}
}

func TestFaults(t *testing.T) {
	text := `schema = 1
id = "Not An Id"
title = { vi = "x" }
freshness = "1s"
retention = "soon"
color = "red"
[[question]]
id = "a"
text = { vi = "x", en = "x" }
type = "essay"
[[question]]
id = "a"
text = { vi = "x", en = "x" }
type = "yes-no"
refuses = ["maybe"]
asks_below = 3
[[question]]
id = "p"
text = { vi = "x", en = "x" }
type = "choice"
`
	want := `version: needs a number from 1 to 9999
line 2: id: needs 1 to 32 small letters, digits and hyphens, a letter first
line 3: title.en: needs a text of 1 to 400 bytes
line 4: freshness: needs a duration from a minute to 366 days
line 5: retention: "soon" is not a duration such as "12h" or "14d", 3660 days at most
line 6: color: unknown key; known are schema, id, version, title, freshness, retention, subject, question
line 10: question.0.type: "essay" is not one of yes-no, choice, days-since, valid-until, plate
line 12: question.1.id: "a" is the id of an earlier question
line 15: question.1.refuses: "maybe" is no answer of this question; its answers here are ["yes" "no"]
line 16: question.1.asks_below: belongs to the type days-since alone
line 17: question.2.choice: needs 2 to 16 [[question.choice]]`
	if _, err := form.Parse([]byte(text)); fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestJudge(t *testing.T) {
	f := parsed(t)
	zone := time.FixedZone("", 7*60*60)
	at := time.Date(2026, 1, 31, 23, 59, 59, 0, zone)
	good := map[string]any{"ill": false, "line": "a", "days": int64(7), "course": "2026-01-31", "truck": "29A-123.45"}
	for name, test := range map[string]struct {
		change   map[string]any
		at       time.Time
		verdict  entry.Verdict
		reason   entry.Reason
		question string
	}{
		"good":              {nil, at, entry.Admit, entry.ReasonAnswered, ""},
		"number of JSON":    {map[string]any{"days": 7.0}, at, entry.Admit, entry.ReasonAnswered, ""},
		"refusing":          {map[string]any{"ill": true}, at, entry.Refuse, entry.ReasonRefusedAnswer, "ill"},
		"asking":            {map[string]any{"line": "b"}, at, entry.Look, entry.ReasonAskedAnswer, "line"},
		"first asking":      {map[string]any{"line": "b", "days": 3}, at, entry.Look, entry.ReasonAskedAnswer, "line"},
		"refusal outweighs": {map[string]any{"line": "b", "days": 1}, at, entry.Refuse, entry.ReasonRefusedAnswer, "days"},
		"days, refused":     {map[string]any{"days": 1}, at, entry.Refuse, entry.ReasonRefusedAnswer, "days"},
		"days, asked":       {map[string]any{"days": 2}, at, entry.Look, entry.ReasonAskedAnswer, "days"},
		"past at midnight":  {nil, at.Add(time.Second), entry.Refuse, entry.ReasonRefusedAnswer, "course"},
		"the zone counts":   {nil, at.Add(time.Second).UTC(), entry.Admit, entry.ReasonAnswered, ""},
		"missing":           {map[string]any{"ill": nil}, at, entry.Look, entry.ReasonAnswers, "ill"},
		"wrong type":        {map[string]any{"ill": "no"}, at, entry.Look, entry.ReasonAnswers, "ill"},
		"no choice":         {map[string]any{"line": "d"}, at, entry.Look, entry.ReasonAnswers, "line"},
		"half a day":        {map[string]any{"days": 1.5}, at, entry.Look, entry.ReasonAnswers, "days"},
		"negative":          {map[string]any{"days": -1}, at, entry.Look, entry.ReasonAnswers, "days"},
		"no day":            {map[string]any{"course": "2026-02-30"}, at, entry.Look, entry.ReasonAnswers, "course"},
		"no plate":          {map[string]any{"truck": "<b>"}, at, entry.Look, entry.ReasonAnswers, "truck"},
		"unknown question":  {map[string]any{"more": true}, at, entry.Look, entry.ReasonAnswers, "more"},
		// A refusing answer does not hide that others are missing.
		"refusing, missing": {map[string]any{"ill": true, "truck": nil}, at, entry.Look, entry.ReasonAnswers, "truck"},
	} {
		answers := maps.Clone(good)
		maps.Copy(answers, test.change)
		v, r, q := f.Judge(answers, test.at)
		if v != test.verdict || r != test.reason || q != test.question {
			t.Errorf("%s: got %v, %s, %q", name, v, r, q)
		}
	}
}

func TestRead(t *testing.T) {
	f := parsed(t)
	for _, test := range []struct {
		id, text string
		want     any
	}{
		{"ill", "yes", true},
		{"ill", " Không ", false},
		{"ill", "true", true},
		{"ill", "1", nil},
		{"line", "b", "b"},
		{"line", "B", nil},
		{"days", "12", int64(12)},
		{"days", "many", nil},
		{"course", "2026-01-31", "2026-01-31"},
		{"course", "31/01/2026", nil},
		{"truck", "29a-12345", "29A-12345"},
		{"truck", "", nil},
	} {
		q, _ := f.Question(test.id)
		got, err := q.Read(test.text)
		if got != test.want || (err == nil) != (test.want != nil) {
			t.Errorf("%s %q: got %v, %v", test.id, test.text, got, err)
		}
	}
}

func TestLoad(t *testing.T) {
	text := []byte(sample)
	third := bytes.Replace(text, []byte("version = 2"), []byte("version = 10"), 1)
	files := fstest.MapFS{
		"b.toml": {Data: text}, "b.toml.sig": {Data: form.Sign(key(1), text)},
		"c.toml": {Data: third}, "c.toml.sig": {Data: form.Sign(key(1), third)},
		"README": {Data: []byte("no form")},
	}
	set, err := form.Load(files, public(1))
	if err != nil || len(set) != 2 {
		t.Fatalf("got %d forms, %v", len(set), err)
	}
	if f, ok := set.Find("sample"); !ok || f.Version != 10 {
		t.Errorf("the newest is version %d", f.Version)
	}
	if f, ok := set.Find("sample/2"); !ok || f.Version != 2 {
		t.Error("sample/2 is not found")
	}
	if _, ok := set.Find("sample/3"); ok {
		t.Error("sample/3 is found")
	}
	if _, err := form.Load(files, public(2)); !errors.Is(err, form.ErrSignature) {
		t.Errorf("another publisher: %v", err)
	}
	if _, err := form.Load(files, nil); !errors.Is(err, form.ErrSignature) {
		t.Errorf("no publisher: %v", err)
	}
	for want, bad := range map[string]fstest.MapFS{
		"b.toml: the form does not carry": {"b.toml": {Data: append(text, '#')}, "b.toml.sig": files["b.toml.sig"]},
		"b.toml: its signature: open":     {"b.toml": {Data: text}},
		"a second file":                   {"a.toml": files["b.toml"], "a.toml.sig": files["b.toml.sig"], "b.toml": files["b.toml"], "b.toml.sig": files["b.toml.sig"]},
		"exceeds":                         {"b.toml": {Data: make([]byte, 70_000)}, "b.toml.sig": files["b.toml.sig"]},
	} {
		if want == "a second file" {
			want = "b.toml: another file holds sample/2 too"
		}
		if _, err := form.Load(bad, public(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestShipped(t *testing.T) {
	set, err := form.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if refs := slices.Sorted(maps.Keys(set)); !slices.Equal(refs, []string{"contractor-induction/1", "covid-2021/1", "farm-biosecurity/1", "food-fitness/1", "hospital-visit/1"}) {
		t.Errorf("shipped are %q", refs)
	}
	no := map[string]any{"travel": false, "signs": false, "case": false, "abroad": false, "contact": false}
	for id, want := range map[string]entry.Verdict{
		"": entry.Admit, "travel": entry.Look, "signs": entry.Refuse, "case": entry.Refuse, "abroad": entry.Refuse, "contact": entry.Refuse,
	} {
		answers := maps.Clone(no)
		if id != "" {
			answers[id] = true
		}
		if v, _, q := set["covid-2021/1"].Judge(answers, time.Time{}); v != want || q != id {
			t.Errorf("yes to %q: got %v by %q", id, v, q)
		}
	}
	for answers, want := range map[string]entry.Verdict{"none": entry.Admit, "covered": entry.Look, "open": entry.Refuse} {
		v, _, _ := set["food-fitness/1"].Judge(map[string]any{"gut": false, "fever": false, "home": false, "wound": answers}, time.Time{})
		if v != want {
			t.Errorf("wound %s: got %v", answers, v)
		}
	}
}

// Forms are data: no trade and no illness is named in the Go code of any scanner room.
func TestNothingIsNamed(t *testing.T) {
	words := regexp.MustCompile(`(?i)covid|sars|corona|fever|cough|diarrh|vomit|hospital|patient|vaccin|food|farm|\bpigs?\b`)
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		text, err := os.ReadFile(path)
		for i, line := range strings.Split(string(text), "\n") {
			if filepath.Base(path) == "shc.go" {
				line = strings.ReplaceAll(line, "Patient", "") // FHIR's name for whose card it is, of whatever trade
			}
			if w := words.FindString(line); w != "" {
				t.Errorf("%s:%d names %q", path, i+1, w)
			}
		}
		return err
	})
	if err != nil || seen < 10 {
		t.Errorf("looked at %d files, %v", seen, err)
	}
	if !words.MatchString("a COVID form") {
		t.Error("the words find nothing")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	for _, name := range []string{"covid-2021.toml", "food-fitness.toml"} {
		text, err := os.ReadFile(filepath.Join("forms", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := form.Parse(text)
		if err == nil && (got.ID == "" || got.Version < 1 || len(got.Questions) == 0 || got.Freshness <= 0) {
			t.Errorf("accepted %+v", got)
		}
	})
}
