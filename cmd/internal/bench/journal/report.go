package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// A paper is what there is to report.
type paper struct {
	where, date string
	size        int // bytes of an entry
	plan        plan
	results     []result // the first of each history is the unit
	uncounted   error    // why the bytes that reached the disk are not known
}

// section returns it all as Markdown whose tables are readable as they are.
func (p paper) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Keeping an entry\n\nOne durable entry of about %d bytes a transaction. %s: %s.\n", p.size, p.date, p.where)
	fmt.Fprintf(&b, "%d rounds of %d entries after %d that do not count, all candidates taking turns in one process.\n", p.plan.rounds, p.plan.turn, p.plan.warm)
	if p.uncounted != nil {
		fmt.Fprintf(&b, "What reaches the disk is not measured: %v.\n", p.uncounted)
	} else {
		b.WriteString("What reaches the disk was counted in a second pass, on an ext4 of its own in a loop device.\n")
	}
	b.WriteString("RSS is the process's, with this candidate alone: before its history was made, then, and opened again.\n\n")
	for _, r := range p.results[:len(p.results)/len(p.plan.histories)] {
		fmt.Fprintf(&b, "- %s: %s\n", r.name, r.about)
	}
	var unit result
	t := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	for i, r := range p.results {
		if i == 0 || r.history != unit.history {
			unit = r
			t.Flush()
			fmt.Fprintf(&b, "\nBehind %d entries:\n\n", r.history)
			line(t, "", "p50 µs", "p95", "p99", "p50 ÷ raw", "bytes written", "÷ raw", "flushes", "files MiB", "filled in s", "cold open ms", "RSS MiB")
			line(t, strings.Split("---"+strings.Repeat(" ---:", 11), " ")...)
		}
		line(t, append(append(times(r, unit), writes(r.wrote, unit.wrote)...), files(r)...)...)
	}
	t.Flush()
	return b.String()
}

func line(t *tabwriter.Writer, cells ...string) {
	fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func times(r, unit result) []string {
	us := func(p int) string { return fmt.Sprint(percentile(r.took, p).Round(time.Microsecond).Microseconds()) }
	ratio := float64(percentile(r.took, 50)) / float64(percentile(unit.took, 50))
	return []string{r.name, us(50), us(95), us(99), fmt.Sprintf("%.2f", ratio)}
}

func writes(t, unit tally) []string {
	if t.entries == 0 || unit.bytes == 0 {
		return []string{"not measured", "", ""}
	}
	return []string{
		fmt.Sprint(t.bytes / t.entries), fmt.Sprintf("%.2f", float64(t.bytes)/float64(unit.bytes)),
		fmt.Sprintf("%.2f", float64(t.flushes)/float64(t.entries)),
	}
}

func files(r result) []string {
	return []string{
		fmt.Sprintf("%.1f", float64(r.size)/(1<<20)), fmt.Sprintf("%.1f", r.fill.Seconds()), fmt.Sprintf("%.1f", r.open.Seconds()*1000),
		fmt.Sprintf("%d, %d, %d", r.memory[0]>>20, r.memory[1]>>20, r.memory[2]>>20),
	}
}
