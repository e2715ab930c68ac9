package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

// gates are the devices that the hub knows, and which of them are searched.
type gates struct {
	known  map[string]pull.Device
	chosen map[string]bool // empty: all
}

func (g gates) wanted(device string) bool { return len(g.chosen) == 0 || g.chosen[device] }

// gates asks the hub where its devices stand, and finds those that were named.
func (f *traceFlags) gates(ctx context.Context, c *pull.Client) (g gates, err error) {
	status, err := c.Status(ctx)
	if err != nil {
		return g, err
	}
	g = gates{map[string]pull.Device{}, map[string]bool{}}
	for _, d := range status.Devices {
		g.known[d.ID] = d
	}
	for _, d := range f.devices {
		g.chosen[d] = true
	}
	for _, venue := range f.venues {
		before := len(g.chosen)
		for _, d := range status.Devices {
			if claim.Fold(d.Venue) == claim.Fold(venue) || claim.Fold(d.Name) == claim.Fold(venue) {
				g.chosen[d.ID] = true
			}
		}
		if len(g.chosen) == before && !slices.Contains(f.devices, venue) {
			return g, fmt.Errorf("no gate of the hub is at a venue %q or has that name", venue)
		}
	}
	return g, nil
}

// A traced is one passage as JSON.
type traced struct {
	Time      string         `json:"time"` // RFC 3339, Vietnam's
	Sure      bool           `json:"sure"` // whether that clock was trusted
	Device    string         `json:"device"`
	Gate      string         `json:"gate,omitempty"`
	Venue     string         `json:"venue,omitempty"`
	Area      string         `json:"area,omitempty"`
	Seq       uint64         `json:"seq"`
	Lane      string         `json:"lane"`
	Direction string         `json:"direction"`
	Verdict   string         `json:"verdict"`
	Form      string         `json:"form,omitempty"`
	Personal  entry.Personal `json:"personal"`
}

// print writes the passages as a table, or as lines of JSON.
func (f *traceFlags) print(w io.Writer, shown []*sighting, g gates) error {
	if !f.json {
		return f.table(w, shown, g)
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, p := range shown {
		d := g.known[p.device]
		err := out.Encode(traced{
			p.wall.In(f.from.Location()).Format(time.RFC3339), p.sure, p.device, d.Name, d.Venue, d.Area, p.Seq,
			p.Lane, p.Direction.String(), p.Verdict.String(), p.Form, p.personal,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *traceFlags) table(w io.Writer, shown []*sighting, g gates) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tGATE\tLANE\tWAY\tVERDICT\tNAME\tBIRTH\tNUMBER\tPLATE\tADDRESS")
	for _, p := range shown {
		at := p.wall.In(f.from.Location()).Format("2006-01-02 15:04:05")
		if !p.sure {
			at = "~" + at
		}
		d := g.known[p.device]
		gate := strings.TrimSpace(d.Venue + " " + d.Name)
		if gate == "" {
			gate = p.device
		}
		number := strings.TrimSpace(p.personal.Number + " " + p.personal.QID)
		cells := []string{at, gate, p.Lane, p.Direction.String(), p.Verdict.String(), p.personal.Name, p.personal.Birth, number, p.personal.Plate, p.personal.Address}
		for i, c := range cells {
			cells[i] = cell(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// cell makes a text fit a terminal: whatever a visitor's code held, it draws nothing but itself.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, s)
	if s == "" {
		return "-"
	}
	return s
}
