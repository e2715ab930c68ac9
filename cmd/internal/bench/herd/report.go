package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost/sync/uplink"
)

// A paper is what there is to report.
type paper struct {
	where, date string
	plan        plan
	results     []result
}

// section returns it all as Markdown whose tables are readable as they are.
func (p paper) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, `## A herd of gates after an outage

All gates come at the same moment, each with a contact and one batch of %d entries, over TLS 1.3 with X25519 and without
resumption. A real gatehub in its own process and its clients share the machine. %s: %s.
The unit is the rate of the same visits by the same processes in a closed loop of %d kiosks at a time, where nobody waits
before the door: the mean of just before and just after the herd. A try that is turned away before TLS, or with
Retry-After, and comes again is not a failure; any other end of a try is, and so is a gate that does not come in.

- as it ships: a hub with a queue of %d sockets
- small: one with a queue of %d, before which an eighth of %d gates spread over %v when they are turned away

`, batchSize, p.date, p.where, p.plan.loops, shipped, small, p.plan.nation, uplink.DefaultSpread/scale)
	p.measured(&b)
	if p.plan.nation > 0 {
		p.computed(&b)
	}
	return b.String()
}

func (p paper) measured(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 1, ' ', 0)
	line(t, "hub", "gates", "in", "failed", "doubled", "visits/s in a loop", "handshakes/s", "n ÷ visits/s", "half in s", "last in s", "**ratio**", "÷ handshakes", "tries a gate", "most", "turned away", "busy", "CPU ms a gate, hub", "in a loop", "kiosks", "in a loop", "CPUs busy %", "hub peak MiB")
	line(t, strings.Split("---"+strings.Repeat(" ---:", 21), " ")...)
	for _, r := range p.results {
		line(t, append([]string{"as it ships"}, r.cells(r.shipped)...)...)
	}
	for _, r := range p.results {
		if p.plan.nation > 0 {
			line(t, append([]string{"small"}, r.cells(r.small)...)...)
		}
	}
	t.Flush()
	m := p.median()
	fmt.Fprintf(b, "\nMedian ratio as it ships: **%.2f**. A visit takes %s ms of the hub's CPUs, a gate that is turned away %s ms (%.0f a second in a loop).\n\n",
		m.ratio(m.shipped), ms(m.visit), ms(m.knock), m.knocks)
}

func (r result) cells(h herd) []string {
	unit := float64(h.n) / r.visits
	return []string{
		fmt.Sprint(h.n), fmt.Sprint(h.in), fmt.Sprint(h.faults), fmt.Sprint(h.doubled), fmt.Sprintf("%.0f", r.visits), fmt.Sprintf("%.0f", r.shakes),
		fmt.Sprintf("%.2f", unit), fmt.Sprintf("%.2f", h.half.Seconds()), fmt.Sprintf("%.2f", h.took.Seconds()), fmt.Sprintf("%.2f", r.ratio(h)),
		fmt.Sprintf("%.2f", h.took.Seconds()*r.shakes/float64(h.n)), fmt.Sprintf("%.1f", float64(h.tries)/float64(h.n)), fmt.Sprint(h.most),
		fmt.Sprint(h.turned), fmt.Sprint(h.busy), ms(h.cpu / time.Duration(h.n)), ms(r.visit), ms(h.client / time.Duration(h.n)), ms(r.client),
		fmt.Sprintf("%.0f", 100*(h.cpu+h.client).Seconds()/h.took.Seconds()/float64(runtime.NumCPU())), fmt.Sprint(h.peak >> 20),
	}
}

// ratio is the time until the last was in over n ÷ rate.
func (r result) ratio(h herd) float64 { return h.took.Seconds() * r.visits / float64(h.n) }

// median is the round whose ratio lies in the middle.
func (p paper) median() result {
	sorted := slices.SortedFunc(slices.Values(p.results), func(a, b result) int {
		return cmp.Compare(a.ratio(a.shipped), b.ratio(b.shipped))
	})
	return sorted[len(sorted)/2]
}

// computed is the model, first for the herd that was measured before the small hub.
func (p paper) computed(b *strings.Builder) {
	m := p.median()
	here, cpus := time.Duration(float64(time.Second)/m.knocks), runtime.NumCPU()
	fmt.Fprintf(b, `Computed, not measured: one hub serves gates one after the other at the rate above and loses time with each that it turns
away; nobody gives up, nothing is lost on the way, and the log keeps up. A gate that is turned away comes again at a time
drawn uniformly from %v, or from an eighth of the time that it has tried if that is longer. The first line is the small
hub's herd, to compare with what was measured: there, the machine plays the gates that are turned away as well. "Held up" is
a hub that serves no more gates a second than were measured, with its CPUs to itself; "alone" is one with %d such CPUs to
itself, which nothing else holds up.

`, uplink.DefaultSpread, cpus)
	t := tabwriter.NewWriter(b, 0, 0, 1, ' ', 0)
	line(t, "hub", "gates", "visits/s", "queue", "n ÷ visits/s", "last in s", "**ratio**", "tries a gate", "most", "turned away in the worst second", "longest in the queue s")
	line(t, strings.Split("---"+strings.Repeat(" ---:", 10), " ")...)
	for _, w := range []struct {
		name string
		world
	}{
		{"small", world{p.plan.nation / scale, m.visits, here, small, uplink.Rule{Spread: uplink.DefaultSpread / scale}}},
		{"as it ships, held up", world{p.plan.nation, m.visits, m.knock / time.Duration(cpus), shipped, uplink.Rule{Spread: uplink.DefaultSpread}}},
		{"as it ships, alone", world{p.plan.nation, float64(cpus) / m.visit.Seconds(), m.knock / time.Duration(cpus), shipped, uplink.Rule{Spread: uplink.DefaultSpread}}},
	} {
		f, unit := w.run(1), float64(w.n)/w.rate
		last, ratio := fmt.Sprintf("%.2f", f.last.Seconds()), fmt.Sprintf("%.2f", f.last.Seconds()/unit)
		if !f.within {
			last, ratio = "not within a day", ""
		}
		line(t, w.name, fmt.Sprint(w.n), fmt.Sprintf("%.0f", w.rate), fmt.Sprint(w.queue), fmt.Sprintf("%.2f", unit), last, ratio,
			fmt.Sprintf("%.1f", f.tries), fmt.Sprint(f.most), fmt.Sprint(f.turned), fmt.Sprintf("%.1f", f.wait.Seconds()))
	}
	t.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

func line(t *tabwriter.Writer, cells ...string) {
	fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| "))
}
