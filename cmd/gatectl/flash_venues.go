package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/internal/flash"
	"gatepost/sync/wire"
)

// doneSuffix ends the name of the file beside a table of venues that says which enrolments are on a card already: each serves
// one unit, once.
const doneSuffix = ".done"

// A venue is the gate that a card makes of a unit.
type venue struct {
	wire.Enrolment
	text []byte // its codes, a line each
}

func (v venue) id() string { return hex.EncodeToString(v.ID[:]) }

// readVenues reads a table whose column "codes" names the folders that gatectl enrol wrote, and returns those that are on no card
// yet.
func readVenues(table string, now time.Time) (venues []venue, err error) {
	rows, err := readTable(table)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no gate in it: the first line names the columns, \"codes\" among them", table)
	}
	done, err := os.ReadFile(table + doneSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	used := strings.Fields(string(done))
	seen := map[string]int{} // the line, by id
	var faults []error
	for _, row := range rows {
		v, err := readVenue(filepath.Dir(table), row.columns["codes"], now)
		if line, twice := seen[v.id()]; err == nil && twice {
			err = fmt.Errorf("the codes of line %d", line)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s, line %d: %w", table, row.line, err))
			continue
		}
		if seen[v.id()] = row.line; !slices.Contains(used, v.id()) {
			venues = append(venues, v)
		}
	}
	return venues, errors.Join(faults...)
}

// readVenue reads a folder of codes, its name as it stands in a table in dir.
func readVenue(dir, codes string, now time.Time) (v venue, err error) {
	if codes == "" {
		return v, errors.New("no folder in the column \"codes\"")
	}
	raw, err := readParts([]string{filepath.Join(dir, codes, "parts.txt")})
	if err != nil {
		return v, err
	}
	if v.Enrolment, err = wire.ParseEnrolment(raw); err != nil {
		return v, err
	}
	if !now.Before(v.Expires) {
		return v, fmt.Errorf("the codes have expired at %s: make new ones", v.Expires.Format(time.RFC3339))
	}
	v.text = []byte(strings.Join(wire.EnrolmentParts(raw), "\n") + "\n")
	return v, nil
}

// enrolCards gives each good card the enrolment of its venue and prints its label. A card without is none for a gate.
func enrolCards(w io.Writer, table string, m flash.Map, cards []*flash.Card, venues []venue, faults []error) {
	for i, c := range cards {
		if faults[i] != nil {
			continue
		}
		v := venues[i]
		if faults[i] = c.Enrol(m, v.text); faults[i] != nil {
			continue
		}
		if faults[i] = noteDone(table, v); faults[i] != nil {
			continue
		}
		fmt.Fprintf(w, "+%s\n| %s\n| %s, %s\n| start it before %s, enrolment %s\n| card %s\n+%s\n", strings.Repeat("-", 60),
			v.Name, v.Venue, v.Area, v.Expires.Format("2006-01-02 15:04 MST"), v.id()[:8], c.Path, strings.Repeat("-", 60))
	}
}

// noteDone notes that an enrolment is on a card.
func noteDone(table string, v venue) error {
	f, err := os.OpenFile(table+doneSuffix, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", v.id(), v.Name)
	return errors.Join(err, f.Sync(), f.Close())
}
