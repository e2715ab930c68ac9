package kiosk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

const (
	probeSize   = 8 << 20 // bytes that the self-test writes at once
	leastSpeed  = 2.0     // MB a second: a card of the slowest class that is sold has five times that
	probes      = 32      // flushes of one page each
	fastestCard = 30 * time.Microsecond
)

// test tries the parts, lamps and sounds before the eyes and ears of the guard. No green is lit before an entry says why.
// The caller holds turn: nobody is judged meanwhile.
func (k *Kiosk) test(ctx context.Context) error {
	began := k.Clock.Stamp()
	if err := k.keepFault(ctx, entry.Fault{Part: "self-test", Text: "begun", Clear: true}); err != nil {
		return errors.New("sổ không ghi được · the journal cannot be written")
	}
	took := (k.Clock.Stamp().Mono - began.Mono).Milliseconds()
	s := k.State()
	hub := guard.Text{VI: "Máy chủ: đã nối", EN: "hub reached"}
	if !s.Online {
		hub = guard.Text{VI: "Máy chủ: chưa nối", EN: "hub not reached " + s.Uplink}
	}
	checks := []guard.Check{
		{OK: true, Text: guard.Text{VI: fmt.Sprintf("Sổ ghi trong %d ms", took), EN: fmt.Sprintf("journal written in %d ms", took)}},
		{OK: began.Trust >= entry.TrustClock, Text: guard.Text{VI: "Đồng hồ: " + s.Clock, EN: "clock: " + s.Clock}},
		{OK: s.Online, Text: hub},
	}
	for _, l := range s.Lanes {
		checks = append(checks, guard.Check{OK: l.OK && l.Text == "", Text: guard.Text{VI: "Làn " + l.Name, EN: "lane " + l.Name + " " + l.Text}})
	}
	checks = append(checks, k.testDisk()...)
	if k.Test != nil {
		checks = append(checks, k.Test(ctx)...)
		k.lit = "" // whatever it lit last
		k.light()
	}
	slip := k.slip(checks, began)
	k.change(func() { k.checked, k.passSlip = checks, slip })
	return nil
}

// testDisk measures the card beside the journal. No flash memory writes a page faster than fastestCard: one that answers sooner has
// it in a memory that a power cut empties, or has a capacitor, which no card for a camera has.
func (k *Kiosk) testDisk() []guard.Check {
	if k.File == "" {
		return nil
	}
	speed, flush, err := probe(filepath.Dir(k.File))
	if err != nil {
		return []guard.Check{{Text: guard.Text{VI: "Thẻ nhớ: không ghi thử được", EN: "the card cannot be tried: " + err.Error()}}}
	}
	checks := []guard.Check{{OK: speed >= leastSpeed, Text: guard.Text{
		VI: fmt.Sprintf("Thẻ nhớ ghi %.0f MB/giây", speed), EN: fmt.Sprintf("the card writes %.0f MB/s", speed),
	}}}
	told := guard.Check{OK: flush >= fastestCard, Text: guard.Text{VI: fmt.Sprintf("Thẻ xác nhận ghi sau %v", flush), EN: fmt.Sprintf("the card confirms a write after %v", flush)}}
	if !told.OK {
		told.Text.VI += ": nhanh quá, thẻ có nói thật không?"
		told.Text.EN += ": too fast to be true?"
	}
	return append(checks, told)
}

// probe writes a file in dir, whose name goes at once, so that nothing of it outlives the program. It returns MB a second of a long write, and how long the flush of a page takes.
func probe(dir string) (speed float64, flush time.Duration, err error) {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil {
		return 0, 0, err
	}
	noise := make([]byte, probeSize) // some cards pack what they are given
	rand.Read(noise)
	began := time.Now()
	if _, err := f.Write(noise); err != nil {
		return 0, 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, 0, err
	}
	speed = probeSize / 1e6 / time.Since(began).Seconds()
	var took []time.Duration
	for i := range probes {
		began := time.Now()
		if _, err := f.WriteAt(noise[i*4096:][:4096], int64(i)*4096); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return speed, took[probes/2].Round(time.Microsecond), nil
}

// slip is what the code of a self-test says to any telephone: which gate, when, and what was not well.
func (k *Kiosk) slip(checks []guard.Check, at entry.Stamp) string {
	good, bad := 0, []string{}
	for _, c := range checks {
		if c.OK {
			good++
		} else {
			bad = append(bad, "- "+c.Text.EN)
		}
	}
	word := "PASS"
	if len(bad) > 0 {
		word = "FAIL"
	}
	head := fmt.Sprintf("Gatepost self-test: %s %d/%d\n%s\n%s\n%s, image %d\n%s (%s)", word, good, len(checks), k.Venue, k.Device, k.Program, k.System,
		at.Wall.In(k.Zone).Format(time.RFC3339), at.Trust)
	return cut(strings.Join(append([]string{head}, bad...), "\n"), maxSlip)
}

const maxSlip = 600 // bytes, a code that telephones read

// cut shortens a text to n bytes, whole characters.
func cut(text string, n int) string { return strings.ToValidUTF8(text[:min(len(text), n)], "") }
