package main

import (
	"bytes"
	"encoding/csv"
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
	text, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	if len(rows) == 0 || !slices.Contains(rows[0], "codes") {
		return nil, fmt.Errorf("%s: no column \"codes\", which names the folder of each gate's codes", table)
	}
	done, err := os.ReadFile(table + doneSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var faults []error
	used := strings.Fields(string(done))
	for i, row := range rows[1:] {
		v, err := readVenue(filepath.Join(filepath.Dir(table), row[slices.Index(rows[0], "codes")]), now)
		if err == nil && slices.ContainsFunc(venues, func(o venue) bool { return o.ID == v.ID }) {
			err = errors.New("the codes of a row before it")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s, row %d: %w", table, i+1, err))
			continue
		}
		if !slices.Contains(used, v.id()) {
			venues = append(venues, v)
		}
	}
	return venues, errors.Join(faults...)
}

// readVenue reads a folder of codes; dir may also be the file of text itself.
func readVenue(dir string, now time.Time) (v venue, err error) {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		dir = filepath.Join(dir, "parts.txt")
	}
	if v.text, err = os.ReadFile(dir); err != nil {
		return v, err
	}
	raw, err := readParts([]string{dir})
	if err != nil {
		return v, err
	}
	if v.Enrolment, err = wire.ParseEnrolment(raw); err != nil {
		return v, err
	}
	if !now.Before(v.Expires) {
		return v, fmt.Errorf("the codes have expired at %s: make new ones", v.Expires.Format(time.RFC3339))
	}
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
