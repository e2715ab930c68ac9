package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
)

const rosterHelp = `usage: gatectl roster build -out ROSTER FILE.csv

Makes a roster of the people in a table: who is expected, or who is barred. Its first line names the columns; of these, any that
are known: number (of the citizen's card), qid, bhyt, name, birth (1990-01-31 or 1990). A person is recognised by any code that
shows what the table has: the card by its number; a declaration by its qid, or by name, year and the number's last four digits; a
health certificate by name and whole date of birth. The roster holds hashes alone. Sign it with "gatectl order sign -kind roster
-name NAME", and name it in the policy as expected or barred.

`

func rosterCommand(ctx context.Context, e env, args []string) int {
	fs := newFlags("roster", rosterHelp)
	var verb string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	out := fs.String("out", "", "`FILE` to write")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if verb != "build" || *out == "" || fs.NArg() != 1 {
		return misused(e, fs, "build needs -out and one table")
	}
	if err := buildRoster(ctx, e, *out, fs.Arg(0)); err != nil {
		return fail(e, "roster", err)
	}
	return exitOK
}

func buildRoster(ctx context.Context, e env, out, table string) error {
	people, keys, err := keysIn(table)
	if err != nil {
		return err
	}
	done, told := 0, time.Now()
	raw, err := roster.Build(keys, func() error { // a list of ten thousand people takes a minute
		if done++; time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(e.err, "%d of %d keys\n", done, len(keys))
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, raw, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %d people by %d keys, %d bytes\n", out, people, len(keys), len(raw))
	return nil
}

// keysIn returns the keys of a table's people. Its errors name the line, and nothing of a person.
func keysIn(table string) (people int, keys []string, err error) {
	rows, err := readTable(table)
	if err != nil {
		return 0, nil, err
	}
	var faults []error
	for _, row := range rows {
		of, err := keysOf(row.columns)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s, line %d: %w", table, row.line, err))
		}
		keys = append(keys, of...)
	}
	if len(rows) == 0 {
		faults = append(faults, fmt.Errorf("%s: nobody in it: the first line names the columns, such as number,name,birth", table))
	}
	return len(rows), keys, errors.Join(faults...)
}

// keysOf returns the keys by which a gate recognises the person of one row.
func keysOf(row map[string]string) (keys []string, err error) {
	p := credential.Person{Number: row["number"], QID: row["qid"], Name: row["name"], Birth: row["birth"]}
	okName, okBirth := true, true
	if p.Name != "" {
		p.Name, okName = claim.Name(p.Name)
	}
	if p.Birth != "" {
		p.Birth, okBirth = claim.Birth(time.DateOnly, p.Birth)
	}
	switch {
	case p.Number != "" && (len(p.Number) != 12 || !claim.Digits(p.Number)):
		return nil, errors.New(`what stands under "number" is none`)
	case p.QID != "" && !claim.Digits(p.QID):
		return nil, errors.New(`what stands under "qid" is none`)
	case !okName:
		return nil, errors.New(`what stands under "name" is none`)
	case !okBirth:
		return nil, errors.New(`what stands under "birth" is none`)
	}
	for _, c := range []credential.Claims{
		{Family: credential.CCCD, Person: p},
		{Family: credential.Personal, Person: p},
		{Family: credential.HC1, Person: p},
		{Family: credential.BHYT, Person: credential.Person{Number: row["bhyt"]}},
	} {
		keys = append(keys, c.Keys()...)
	}
	if len(keys) == 0 {
		return nil, errors.New("nothing by which a gate could recognise anybody")
	}
	return keys, nil
}
