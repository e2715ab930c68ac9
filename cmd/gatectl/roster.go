package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
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

// maxTable is the most bytes of a table.
const maxTable = 16 << 20

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
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	people, keys, err := readTable(f)
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	var raw []byte
	built, told := make(chan error, 1), make(chan struct{}, roster.MaxKeys)
	go func() { // ends with the keys: some minutes at most, or with the program
		var err error
		raw, err = roster.Build(keys, func() { told <- struct{}{} })
		built <- err
	}()
	for done, tick := 0, time.NewTicker(time.Second); ; {
		select {
		case <-told:
			done++
		case <-tick.C:
			fmt.Fprintf(e.err, "%d of %d keys\n", done, len(keys))
		case <-ctx.Done():
			return ctx.Err()
		case err := <-built:
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, raw, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(e.out, "%s: %d people by %d keys, %d bytes\n", out, people, len(keys), len(raw))
			return nil
		}
	}
}

// readTable returns the keys of a table's people. Its errors name the line, and nothing of a person.
func readTable(r io.Reader) (people int, keys []string, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return 0, nil, err
	}
	if len(text) > maxTable {
		return 0, nil, fmt.Errorf("exceeds %d bytes", maxTable)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as spreadsheets begin
	table := csv.NewReader(bytes.NewReader(text))
	if head, _, _ := bytes.Cut(text, []byte("\n")); bytes.Contains(head, []byte(";")) {
		table.Comma = ';' // as spreadsheets write where the comma is the decimal one
	}
	var faults []error
	var head []string
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, nil, err
		}
		if head == nil {
			head = row
			continue
		}
		line, _ := table.FieldPos(0)
		of, err := keysOf(head, row)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", line, err))
			continue
		}
		people++
		keys = append(keys, of...)
	}
	if len(faults) == 0 && people == 0 {
		faults = append(faults, errors.New("nobody in it: the first line names the columns, such as number,name,birth"))
	}
	return people, keys, errors.Join(faults...)
}

// keysOf returns the keys by which a gate recognises the person of one row.
func keysOf(head, row []string) (keys []string, err error) {
	var p credential.Person
	bhyt := ""
	for i, column := range head {
		value := strings.TrimSpace(row[i])
		ok := true
		switch strings.ToLower(strings.TrimSpace(column)) {
		case "number":
			p.Number, ok = value, value == "" || len(value) == 12 && claim.Digits(value)
		case "qid":
			p.QID, ok = value, value == "" || claim.Digits(value)
		case "bhyt":
			bhyt = value
		case "name":
			if value != "" {
				p.Name, ok = claim.Name(value)
			}
		case "birth":
			if value != "" {
				p.Birth, ok = claim.Birth(time.DateOnly, value)
			}
		}
		if !ok {
			return nil, fmt.Errorf("what stands under %q is none", column)
		}
	}
	for _, c := range []credential.Claims{
		{Family: credential.CCCD, Person: p},
		{Family: credential.Personal, Person: p},
		{Family: credential.HC1, Person: p},
		{Family: credential.BHYT, Person: credential.Person{Number: bhyt}},
	} {
		keys = append(keys, c.Keys()...)
	}
	if len(keys) == 0 {
		return nil, errors.New("nothing by which a gate could recognise anybody")
	}
	return keys, nil
}
