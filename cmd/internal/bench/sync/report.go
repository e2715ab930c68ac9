package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A paper is what there is to report.
type paper struct {
	where, date string
	plan        plan
	results     []result // those of a load stand together
	reads       []reading
	connects    []connect
	without     error // why there is no PostgreSQL
}

// section returns it all as Markdown whose tables are readable as they are.
func (p paper) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, `## Handing it on

What a hub takes in when the network is back: every batch parsed, its chain and signature checked, durable, and its receipt
signed. Hubs in processes of their own and their kiosks share the machine. %s: %s.
The loads are brought to all stores in turn. "÷ forgets" is the median of the rounds' ratios to the same round over the store
that forgets, then the lowest and the highest. Bytes are those of TCP's payload, TLS and HTTP among it.

`, p.date, p.where)
	if p.plan.scale > 1 {
		fmt.Fprintf(&b, "**A quick look: every load has one kiosk, or one batch, of %d.**\n\n", p.plan.scale)
	}
	for _, s := range stores {
		fmt.Fprintf(&b, "- %s: %s\n", s.name, s.about)
	}
	if p.without != nil {
		fmt.Fprintf(&b, "\nPostgreSQL was not measured: %v.\n", p.without)
	}
	p.loads(&b)
	p.read(&b)
	p.connect(&b)
	return b.String()
}

// loads has a table for each load.
func (p paper) loads(b *strings.Builder) {
	for i := 0; i < len(p.results); {
		some := p.results[i:]
		if n := slices.IndexFunc(some, func(r result) bool { return r.load.name != some[0].load.name }); n >= 0 {
			some = some[:n]
		}
		i += len(some)
		l := some[0].load
		fmt.Fprintf(b, "\nLoad %s: %s. %d senders at a time, %d rounds.\n\n", strings.ToUpper(l.name[:1])+l.name[1:], l.about, l.senders, l.rounds)
		t := tabwriter.NewWriter(b, 0, 0, 1, ' ', 0)
		head(t, "store", "kiosks", "batches", "entries", "entries/s", "**÷ forgets**", "hub CPU ms a kiosk", "µs an entry", "database CPU ms a kiosk", "bytes up an entry", "down", "÷ entries' own", "on disk", "hub peak MiB", "database")
		for _, r := range some {
			row(t, r.cells(some[0])...)
		}
		t.Flush()
	}
}

func (r result) cells(unit result) []string {
	kiosks, all := time.Duration(r.size.kiosks), float64(r.size.entries)
	hub := r.median(func(o round) float64 { return float64(o.hub.cpu) })
	database := r.median(func(o round) float64 { return float64(o.database.cpu) })
	up := r.median(func(o round) float64 { return float64(o.up) })
	cells := []string{
		r.store, fmt.Sprint(r.size.kiosks), fmt.Sprint(r.size.batches), fmt.Sprint(r.size.entries),
		fmt.Sprintf("%.0f", r.median(func(o round) float64 { return all / o.took.Seconds() })), r.ratios(unit),
		ms(time.Duration(hub) / kiosks), fmt.Sprintf("%.1f", hub/all/1000), ms(time.Duration(database) / kiosks),
		fmt.Sprintf("%.0f", up/all), fmt.Sprintf("%.0f", r.median(func(o round) float64 { return float64(o.down) })/all),
		fmt.Sprintf("%.2f", up/float64(r.size.bytes)), fmt.Sprintf("%.0f", r.median(func(o round) float64 { return float64(o.disk) })/all),
		fmt.Sprintf("%.0f", r.median(func(o round) float64 { return float64(o.hub.peak) })/(1<<20)),
		fmt.Sprintf("%.0f", r.median(func(o round) float64 { return float64(o.database.peak) })/(1<<20)),
	}
	if r.store != postgres {
		cells[8], cells[14] = "", ""
	}
	if r.store == postgres || r.store == forgetting { // the database's files are its own affair
		cells[12] = ""
	}
	return cells
}

// ratios compares the rates round by round.
func (r result) ratios(unit result) string {
	if unit.store != forgetting {
		return "not measured"
	}
	var all []float64
	for i := range r.rounds {
		all = append(all, r.rate(i)/unit.rate(i))
	}
	slices.Sort(all)
	return fmt.Sprintf("**%.2f** (%.2f-%.2f)", all[len(all)/2], all[0], all[len(all)-1])
}

func (r result) median(of func(round) float64) float64 {
	var all []float64
	for _, o := range r.rounds {
		all = append(all, of(o))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// read shows how fast the log is read.
func (p paper) read(b *strings.Builder) {
	if len(p.reads) == 0 {
		return
	}
	fmt.Fprintf(b, `
Reading the log of the shipped hub, entries a second. "Check alone": the batches' own bytes parsed, chain and signature
checked, by one thread. "Pull": gatectl's client, pages of %d lines with zstd over TLS, every line, chain and signature checked,
no seal opened. "Into the view": the log read from JetStream and replayed into an empty SQLite view, as by a hub that has lost
it. A log of 20 million entries was not made; at this pace it takes as long as the last column says.

`, 10_000)
	t := tabwriter.NewWriter(b, 0, 0, 1, ' ', 0)
	head(t, "log", "entries", "check alone", "pull", "**pull ÷ check**", "bytes an entry", "**into the view**", "20 million in min")
	for _, r := range p.reads {
		row(t, r.load, fmt.Sprint(r.entries), fmt.Sprintf("%.0f", r.verify), fmt.Sprintf("%.0f", r.pull), fmt.Sprintf("**%.2f**", r.pull/r.verify),
			fmt.Sprintf("%.0f", r.bytes), fmt.Sprintf("**%.0f**", r.view), fmt.Sprintf("%.1f", 20e6/r.view/60))
	}
	t.Flush()
}

// connect shows what one connection costs.
func (p paper) connect(b *strings.Builder) {
	if len(p.connects) == 0 {
		return
	}
	fmt.Fprintf(b, `
One connection with a contact and a batch of %d entries (2 KB), a store that forgets: %d kiosks a round, median of %d rounds. The
first line is what ships.

`, poor, p.plan.connects, len(p.connects[0].cpu))
	t := tabwriter.NewWriter(b, 0, 0, 1, ' ', 0)
	head(t, "certificate", "key exchange", "hub CPU ms", "bytes up", "down")
	for _, c := range p.connects {
		slices.SortFunc(c.cpu, func(a, b time.Duration) int { return cmp.Compare(a, b) })
		row(t, c.cert, c.exchange, ms(c.cpu[len(c.cpu)/2]), fmt.Sprint(c.up), fmt.Sprint(c.down))
	}
	t.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond)) }

// head begins a table whose first column is text.
func head(t *tabwriter.Writer, cells ...string) {
	row(t, cells...)
	row(t, strings.Split("---"+strings.Repeat(" ---:", len(cells)-1), " ")...)
}

func row(t *tabwriter.Writer, cells ...string) {
	fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| "))
}
