package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/form"
)

const formHelp = `usage: gatectl form check FILE…
       gatectl form sign -key publisher.key FILE…

Check explains forms, or lists all their faults by line. Sign checks them too and writes FILE.sig beside each.

`

func formCommand(_ context.Context, e env, args []string) int {
	fs := newFlags("form", formHelp)
	var verb string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	key := fs.String("key", "", "private key of the forms' publisher, for sign")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	switch {
	case fs.NArg() == 0:
		return misused(e, fs, "no files")
	case verb == "check":
		return eachForm(e, fs.Args(), func(_ string, _ []byte, f form.Form) error {
			explain(e.out, f)
			return nil
		})
	case verb == "sign" && *key != "":
		return signForms(e, *key, fs.Args())
	case verb == "sign":
		return misused(e, fs, "sign needs -key")
	}
	return misused(e, fs, fmt.Sprintf("%q is neither check nor sign", verb))
}

func signForms(e env, path string, files []string) int {
	key, err := keyfile.Private(path)
	if err != nil {
		return fail(e, "form", err)
	}
	return eachForm(e, files, func(file string, text []byte, f form.Form) error {
		if err := os.WriteFile(file+form.SignatureSuffix, form.Sign(key, text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(e.out, "signed %s %s\n", f.Ref(), file)
		return nil
	})
}

// eachForm does something with every form that has no fault, and tells the faults of the others.
func eachForm(e env, files []string, do func(file string, text []byte, f form.Form) error) int {
	code := exitOK
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			var f form.Form
			if f, err = form.Parse(text); err == nil {
				err = do(file, text, f)
			}
		}
		if err != nil {
			code = exitFail
			for line := range strings.Lines(err.Error()) {
				fmt.Fprintf(e.err, "%s: %s\n", file, strings.TrimSpace(line))
			}
		}
	}
	return code
}

// explain tells in words what a form asks and what follows.
func explain(w io.Writer, f form.Form) {
	fmt.Fprintf(w, "%s: %s · %s\n", f.Ref(), f.Title.EN, f.Title.VI)
	fmt.Fprintf(w, "  about a %s; fresh for %v; records kept for %v\n", f.Subject, f.Freshness, f.Retention)
	for i, q := range f.Questions {
		fmt.Fprintf(w, "  %d. %s (%s): %s\n     %s\n", i+1, q.ID, q.Type, q.Text.EN, q.Text.VI)
		for _, c := range q.Choices {
			fmt.Fprintf(w, "     %s: %s · %s\n", c.ID, c.Text.EN, c.Text.VI)
		}
		fmt.Fprintf(w, "     refuses: %s; asks the guard: %s\n", rule(q.Refuses, q.RefusesBelow), rule(q.Asks, q.AsksBelow))
	}
}

func rule(answers []string, below int) string {
	switch {
	case below > 0:
		return fmt.Sprintf("below %d days", below)
	case len(answers) > 0:
		return strings.Join(answers, ", ")
	}
	return "never"
}

// loadForms returns the forms that are built in, and those of a folder where one is named.
func loadForms(dir, publisher string) (form.Set, error) {
	set, err := form.Shipped()
	if err != nil || dir == "" {
		return set, err
	}
	if publisher == "" {
		return nil, errors.New("-forms needs -publisher, the public key that signed them")
	}
	key, err := keyfile.Public(publisher)
	if err != nil {
		return nil, err
	}
	own, err := form.Load(os.DirFS(dir), key)
	if err != nil {
		return nil, err
	}
	for ref, f := range own {
		set[ref] = f
	}
	return set, nil
}

// answersOf reads "question=answer" words for f. The error lists every fault, each with the question in words.
func answersOf(f form.Form, words []string) (map[string]any, error) {
	given := map[string]string{}
	var faults []error
	for _, w := range words {
		id, answer, ok := strings.Cut(w, "=")
		if _, known := f.Question(id); !ok || !known {
			faults = append(faults, fmt.Errorf("-answer %s: no question %q in %s", w, id, f.Ref()))
		} else if _, twice := given[id]; twice {
			faults = append(faults, fmt.Errorf("-answer %s: answered twice", w))
		}
		given[id] = answer
	}
	all := map[string]any{}
	for _, q := range f.Questions {
		text, ok := given[q.ID]
		a, err := q.Read(text)
		if !ok {
			_, err = q.Normal(nil)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("-answer %w (%s)", err, q.Text.EN))
		}
		all[q.ID] = a
	}
	return all, errors.Join(faults...)
}

// words is a flag that may be given again and again.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

func (w *words) Set(s string) error {
	*w = append(*w, s)
	return nil
}
