package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const traceHelp = `usage: gatectl trace -hub URL -token FILE [-ca FILE] -key FILE -case NUMBER -from TIME -to TIME
                     [-venue NAME]… [-device ID]… [-name NAME] [-id NUMBER] [-all] [-json]

Opens seals for a case: prints who passed at some gates in a window of time, or where a person passed. Times are
2021-10-21, 2021-10-21T07:30 (Vietnam's) or RFC 3339; -to is not part of the window, but a day is, whole. A name is
compared without accents and case; a number also with the last digits that a declaration carries.

Before anything is opened, the hub records the case, the gates, the window and how many entries, but nobody's name.
If it does not say that it has, nothing is opened.

`

// traceFlags are the words of "gatectl trace".
type traceFlags struct {
	pullFlags
	release         wire.Release // case and window
	from, to        time.Time
	venues, devices []string
	name, id        string
	all, json       bool
}

func traceCommand(ctx context.Context, e env, args []string) int {
	f, code := parseTrace(e, args)
	if f == nil {
		return code
	}
	c, err := f.client()
	if err == nil {
		err = f.run(ctx, e, c)
	}
	if err != nil {
		return fail(e, "trace", err)
	}
	return exitOK
}

func parseTrace(e env, args []string) (*traceFlags, int) {
	f := &traceFlags{}
	var from, to string
	flags := newFlags("trace", traceHelp)
	flags.StringVar(&f.hub, "hub", "", "address of the hub, `URL` as https://127.0.0.1:8443")
	flags.StringVar(&f.token, "token", "", "`FILE` with the token")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` of the hub's certificate authority; left out: the system's")
	flags.StringVar(&f.key, "key", "", "PEM `FILE` of the authority's key: opens the sealed parts")
	flags.StringVar(&f.pullFlags.devices, "devices", "", "`DIR` with NAME.pub.pem of the devices: checks their signatures")
	flags.StringVar(&f.release.Case, "case", "", "`NUMBER` of the case for which seals are opened")
	flags.StringVar(&from, "from", "", "the window's beginning, a `TIME`")
	flags.StringVar(&to, "to", "", "the window's end, a `TIME`")
	flags.Func("venue", "venue or `NAME` of gates; may be given several times", into(&f.venues))
	flags.Func("device", "`ID` of a gate; may be given several times", into(&f.devices))
	flags.StringVar(&f.name, "name", "", "`NAME` of a person: only their passages are shown")
	flags.StringVar(&f.id, "id", "", "`NUMBER` of a person's card, insurance or unified code: only their passages are shown")
	flags.BoolVar(&f.all, "all", false, "also whom the gate did not admit, and passages that were undone")
	flags.BoolVar(&f.json, "json", false, "write a JSON object a line")
	if code, ok := parse(e, flags, args); !ok {
		return nil, code
	}
	if why := f.fault(flags, from, to); why != "" {
		return nil, misused(e, flags, why)
	}
	return f, exitOK
}

// into appends each use of a flag to all.
func into(all *[]string) func(string) error {
	return func(s string) error {
		if strings.TrimSpace(s) == "" {
			return errors.New("it is empty")
		}
		*all = append(*all, s)
		return nil
	}
}

// fault tells what is off about the words, and reads the window. Nothing that a person is searched by stands in it.
func (f *traceFlags) fault(flags *flag.FlagSet, from, to string) string {
	var err1, err2 error
	f.from, err1 = windowTime(from, 0)
	f.to, err2 = windowTime(to, 1)
	switch {
	case f.hub == "" || f.token == "" || f.key == "" || flags.NArg() > 0:
		return "-hub, -token and -key are needed, and nothing but flags"
	case !strings.HasPrefix(f.hub, "https://"):
		return "-hub begins with https://, or the token would go in clear"
	case !wire.IsCase(f.release.Case):
		return "-case is needed: 1 to 40 letters without accents, digits and . / _ -, the first a letter or a digit"
	case err1 != nil || err2 != nil:
		return "-from and -to are needed, times such as 2021-10-21, 2021-10-21T07:30 or 2021-10-21T07:30:00+07:00"
	case !f.from.Before(f.to):
		return "-to is not after -from"
	case f.name != "" && claim.Fold(f.name) == "" || f.id != "" && len(digits(f.id)) < minTail:
		return "-name has letters, and -id at least 4 letters or digits"
	case len(f.venues)+len(f.devices) == 0 && f.name == "" && f.id == "":
		return "a place is needed, -venue or -device, or a person, -name or -id"
	case slices.ContainsFunc(f.devices, func(d string) bool { return !wire.IsDevice(d) }):
		return "-device is 16 hexadecimal digits"
	}
	f.release.By, f.release.From, f.release.To = wire.ByPlace, f.from.UnixMilli(), f.to.UnixMilli()
	if f.name != "" || f.id != "" {
		f.release.By = wire.ByPerson
	}
	return ""
}

// windowTime reads a time in Vietnam; of a whole day its beginning, or so many days later.
func windowTime(s string, days int) (time.Time, error) {
	now, err := moment("")
	if err != nil {
		return time.Time{}, err
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.In(now.Location()), err
}

// run finds the passages, tells the hub, and only then opens their seals.
func (f *traceFlags) run(ctx context.Context, e env, c *pull.Client) error {
	key := c.Authority
	c.Authority = nil // while pages come, nothing is opened
	gates, err := f.gates(ctx, c)
	if err != nil {
		return err
	}
	s := newSearch(f.from, f.to, gates.wanted)
	if err := s.pull(ctx, c); err != nil {
		return err
	}
	found, astray := s.within(f.all)
	if astray > 0 {
		fmt.Fprintf(e.err, "%d passages whose time nobody knows lie outside the window by their own clock\n", astray)
	}
	if len(found) == 0 {
		fmt.Fprintln(e.err, "no sealed passage in this window: nothing is opened, and nothing is recorded")
		return nil
	}
	if err := f.record(ctx, e, c, found); err != nil {
		return fmt.Errorf("nothing was opened, for the hub has not recorded the release: %w", err)
	}
	shown, closed, err := f.open(ctx, found, key)
	if err != nil {
		return err
	}
	if closed > 0 {
		fmt.Fprintf(e.err, "%d passages cannot be opened with this key\n", closed)
	}
	return f.print(e.out, shown, gates)
}

// record tells the hub what will be opened, in as many releases as that takes.
func (f *traceFlags) record(ctx context.Context, e env, c *pull.Client, found []*sighting) error {
	spans := map[string]*wire.Released{}
	var devices []*wire.Released
	for _, p := range found {
		d := spans[p.device]
		if d == nil {
			d = &wire.Released{Device: p.device, First: p.Seq}
			spans[p.device], devices = d, append(devices, d)
		}
		d.First, d.Last, d.Entries = min(d.First, p.Seq), max(d.Last, p.Seq), d.Entries+1
	}
	for some := range slices.Chunk(devices, wire.MaxReleased) {
		r := f.release
		for _, d := range some {
			r.Devices = append(r.Devices, *d)
		}
		done, err := c.Release(ctx, r)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.err, "record %d of the hub: case %s, token %s, %d passages of %d gates\n", done.Record, done.Case, done.Token, r.Entries(), len(r.Devices))
	}
	return nil
}
