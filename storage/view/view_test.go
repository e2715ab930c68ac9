package view

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	_ "time/tzdata"

	"gatepost/storage/entry"
)

var hanoi = func() *time.Location {
	z, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		panic(err)
	}
	return z
}()

const (
	day  = "2021-10-21"
	next = "2021-10-22"
)

// at returns a moment of the day in Hanoi.
func at(hour, minute int) time.Time { return time.Date(2021, 10, 21, hour, minute, 0, 0, hanoi) }

func open(t *testing.T, path string) *View {
	t.Helper()
	v, err := Open(t.Context(), path, hanoi)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func fresh(t *testing.T) *View {
	t.Helper()
	v := open(t, filepath.Join(t.TempDir(), "view.db"))
	resume(t, v, "e1", 0)
	return v
}

func resume(t *testing.T, v *View, epoch string, last uint64) uint64 {
	t.Helper()
	after, err := v.Resume(t.Context(), epoch, last)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// book makes the records of a log.
type book struct {
	t       *testing.T
	records []Record
	seqs    map[string]uint64
}

func newBook(t *testing.T) *book { return &book{t: t, seqs: map[string]uint64{}} }

// add writes a batch with one entry for each body, all at one time.
func (b *book) add(device string, wall time.Time, bodies ...entry.Body) {
	b.t.Helper()
	var raws [][]byte
	for _, body := range bodies {
		d, err := entry.NewDraft(entry.Stamp{Wall: wall, Trust: entry.TrustClock}, body)
		if err != nil {
			b.t.Fatal(err)
		}
		raws = append(raws, b.raw(device, entry.Entry{Kind: d.Kind, Stamp: d.Stamp, Body: d.Body}))
	}
	b.record(Record{Batch: &Batch{device, raws}})
}

func (b *book) raw(device string, e entry.Entry) []byte {
	b.t.Helper()
	b.seqs[device]++
	e.Seq = b.seqs[device]
	if e.Boot == 0 {
		e.Boot = 1
	}
	raw, err := e.Marshal()
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

func (b *book) record(r Record) {
	r.Seq = uint64(len(b.records) + 1)
	r.At = at(12, 0).Add(time.Duration(r.Seq) * time.Minute)
	b.records = append(b.records, r)
}

func pass(d entry.Direction, v entry.Verdict) entry.Passage {
	return entry.Passage{Lane: "a", Direction: d, Verdict: v}
}

func apply(t *testing.T, v *View, records ...Record) {
	t.Helper()
	if err := v.Apply(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

// shown is all that a view tells.
func shown(t *testing.T, v *View) string {
	t.Helper()
	gates, err := v.Gates(t.Context(), day)
	must(t, err)
	areas, err := v.Passages(t.Context(), "2000-01-01", "2199-12-31")
	must(t, err)
	alarms, err := v.Alarms(t.Context(), 100)
	must(t, err)
	total, err := v.Total(t.Context())
	must(t, err)
	scan, err := v.GatesWithScan(t.Context(), day)
	must(t, err)
	releases, err := v.Releases(t.Context(), 100)
	must(t, err)
	raw, err := json.Marshal([]any{gates, areas, alarms, total, scan, releases})
	must(t, err)
	return string(raw)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFigures(t *testing.T) {
	v, b := fresh(t), newBook(t)
	must(t, v.SetPlaces(t.Context(), map[string]Place{
		"d1": {"Gate 1", "Market", "Quang Minh"}, "d2": {"Gate 2", "School", "Thanh Lâm"}, "d3": {"Gate 3", "School", "Thanh Lâm"},
	}))
	b.add("d1", at(7, 0), entry.Boot{Program: "1"}, pass(entry.In, entry.Admit), pass(entry.In, entry.Admit), pass(entry.Out, entry.Admit))
	b.add("d1", at(8, 0), pass(entry.In, entry.Look), pass(entry.In, entry.Refuse), pass(entry.In, entry.Unreadable), entry.Undo{Seq: 3})
	b.add("d2", at(9, 0), pass(entry.In, entry.Failed))
	b.record(Record{Alarm: &Alarm{Device: "d2", Seq: 1, Ours: "aa", Theirs: "bb"}})
	b.add("d9", at(23, 59), pass(entry.In, entry.Admit))
	b.add("d9", at(24, 0), pass(entry.In, entry.Admit))
	apply(t, v, b.records...)

	gates, err := v.Gates(t.Context(), day)
	must(t, err)
	var got []string
	for _, g := range gates {
		got = append(got, fmt.Sprintf("%s %s known=%v begins=%d entries=%d %+v", g.Device, g.Area, g.Known, g.Begins, g.Entries, g.Day))
	}
	want := []string{
		"d9  known=false begins=1 entries=2 {In:1 Out:0 Look:0 Refuse:0 Unreadable:0 Fault:0 Unsure:0}",
		"d1 Quang Minh known=true begins=1 entries=8 {In:1 Out:1 Look:1 Refuse:1 Unreadable:1 Fault:0 Unsure:0}",
		"d2 Thanh Lâm known=true begins=1 entries=1 {In:0 Out:0 Look:0 Refuse:0 Unreadable:0 Fault:1 Unsure:0}",
		"d3 Thanh Lâm known=true begins=0 entries=0 {In:0 Out:0 Look:0 Refuse:0 Unreadable:0 Fault:0 Unsure:0}",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("gates\n%q\nwant\n%q", got, want)
	}
	if !gates[1].First.Equal(at(7, 0)) || !gates[1].Last.Equal(at(8, 0)) || !gates[3].Last.IsZero() {
		t.Errorf("seen %v to %v, and %v", gates[1].First, gates[1].Last, gates[3].Last)
	}
	if n, err := v.GatesWithScan(t.Context(), day); n != 2 || err != nil {
		t.Errorf("%d gates with a scan, %v, want 2", n, err)
	}
	areas, err := v.Passages(t.Context(), day, next)
	must(t, err)
	if got, want := fmt.Sprint(areas), "[{ 2021-10-21 {1 0 0 0 0 0 0}} { 2021-10-22 {1 0 0 0 0 0 0}} "+
		"{Quang Minh 2021-10-21 {1 1 1 1 1 0 0}} {Thanh Lâm 2021-10-21 {0 0 0 0 0 1 0}}]"; got != want {
		t.Errorf("areas %s\nwant  %s", got, want)
	}
	alarms, err := v.Alarms(t.Context(), 9)
	must(t, err)
	if len(alarms) != 1 || alarms[0].Device != "d2" || alarms[0].Seq != 1 || alarms[0].Theirs != "bb" || !alarms[0].At.Equal(b.records[3].At) {
		t.Errorf("alarms %+v", alarms)
	}
	total, err := v.Total(t.Context())
	must(t, err)
	if total.Entries != 11 || total.Passages.In != 3 || total.Passages.Scans() != 7 || !total.AsOf.Equal(b.records[5].At) {
		t.Errorf("total %+v", total)
	}
}

// Releases come back on replay, and go with the log that held them; a view of a version that knew none is made again.
func TestReleases(t *testing.T) {
	path, b := filepath.Join(t.TempDir(), "view.db"), newBook(t)
	v := open(t, path)
	resume(t, v, "e1", 0)
	b.add("d1", at(7, 0), pass(entry.In, entry.Admit))
	for _, number := range []string{"2021-117", "2021-118"} {
		b.record(Record{Release: &Release{Case: number, By: "place", Token: "0a1b2c3d", Entries: 3, Devices: 2, From: at(7, 0), To: at(9, 0)}})
	}
	apply(t, v, b.records...)
	all, err := v.Releases(t.Context(), 9)
	must(t, err)
	if want := *b.records[2].Release; len(all) != 2 || all[1].Case != "2021-117" || all[0].Record != 3 || !all[0].At.Equal(b.records[2].At) {
		t.Errorf("releases %+v", all)
	} else if want.Record, want.At, want.From, want.To = 3, all[0].At, all[0].From, all[0].To; all[0] != want || !want.From.Equal(at(7, 0)) || !want.To.Equal(at(9, 0)) {
		t.Errorf("release %+v", all[0])
	}
	must(t, setMeta(t.Context(), v.db, "made-for", "2 "+hanoi.String()))
	must(t, v.Close())
	v = open(t, path)
	if after := resume(t, v, "e1", 3); after != 0 {
		t.Errorf("an older view goes on behind record %d", after)
	}
	apply(t, v, b.records...)
	if again, err := v.Releases(t.Context(), 9); err != nil || fmt.Sprint(again) != fmt.Sprint(all) {
		t.Errorf("replayed: %+v, %v", again, err)
	}
	resume(t, v, "e2", 0)
	if left, err := v.Releases(t.Context(), 9); err != nil || len(left) != 0 {
		t.Errorf("of another log: %+v, %v", left, err)
	}
}

func TestUndoCountsOnce(t *testing.T) {
	v, b := fresh(t), newBook(t)
	b.add("d1", at(7, 0), pass(entry.In, entry.Admit), pass(entry.In, entry.Admit))
	b.add("d2", at(7, 0), pass(entry.In, entry.Admit))
	b.add("d1", at(7, 1), entry.Undo{Seq: 2}, entry.Undo{Seq: 2}, entry.Undo{Seq: 99}, entry.Undo{Seq: math.MaxUint64})
	apply(t, v, b.records...)
	gates, err := v.Gates(t.Context(), day)
	must(t, err)
	if gates[0].Day.In != 1 || gates[1].Day.In != 1 {
		t.Errorf("in: %d at d1, %d at d2, want 1 and 1", gates[0].Day.In, gates[1].Day.In)
	}
	b.add("d1", at(7, 2), entry.Undo{Seq: 1})
	apply(t, v, b.records[3])
	if n, err := v.GatesWithScan(t.Context(), day); n != 1 || err != nil {
		t.Errorf("%d gates with a scan, %v: d1's passages are all undone", n, err)
	}
}

// A view that grew record by record equals one that was replayed at once, in pages of any size.
func TestReplayEqualsIncrement(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := newBook(t)
	for range 120 {
		device := fmt.Sprint("d", rnd.IntN(4))
		wall := at(0, 0).Add(time.Duration(rnd.IntN(72*60)) * time.Minute)
		switch rnd.IntN(8) {
		case 0:
			b.record(Record{Alarm: &Alarm{Device: device, Seq: rnd.Uint64(), Ours: "a", Theirs: "b"}})
		case 1:
			b.add(device, wall, entry.Undo{Seq: 1 + rnd.Uint64N(b.seqs[device]+2)})
		case 2:
			raw := b.raw(device, entry.Entry{Kind: 99, Stamp: entry.Stamp{Wall: wall}, Body: []byte("later")})
			broken := b.raw(device, entry.Entry{Kind: entry.KindPassage, Body: []byte{0xFF}})
			b.record(Record{Batch: &Batch{device, [][]byte{raw, broken}}})
		default:
			b.add(device, wall, pass(entry.Direction(1+rnd.IntN(2)), entry.Verdict(1+rnd.IntN(6))), pass(entry.In, entry.Admit))
		}
	}
	whole := fresh(t)
	apply(t, whole, b.records...)
	want := shown(t, whole)
	for _, size := range []int{1, 7, 50} {
		v := fresh(t)
		for i := 0; i < len(b.records); i += size {
			apply(t, v, b.records[i:min(i+size, len(b.records))]...)
		}
		if got := shown(t, v); got != want {
			t.Errorf("pages of %d: %s\nwant %s", size, got, want)
		}
	}
}

func TestResume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "view.db")
	v, b := open(t, path), newBook(t)
	if after := resume(t, v, "e1", 5); after != 0 {
		t.Errorf("an empty view is at %d", after)
	}
	b.add("d1", at(7, 0), pass(entry.In, entry.Admit))
	b.add("d1", at(7, 1), pass(entry.In, entry.Admit))
	apply(t, v, b.records...)
	must(t, v.SetPlaces(t.Context(), map[string]Place{"d1": {Name: "Gate 1"}}))
	must(t, v.Close())

	v = open(t, path)
	if after := resume(t, v, "e1", 2); after != 2 {
		t.Errorf("reopened at %d, want 2", after)
	}
	if err := v.Apply(t.Context(), Record{Seq: 2}); err == nil {
		t.Error("a record was applied twice")
	}
	if err := v.Apply(t.Context(), Record{Seq: 3}, Record{Seq: 5}); err == nil {
		t.Error("a record was left out")
	}
	for _, c := range []struct {
		name, epoch string
		last        uint64
	}{{"another log", "e2", 9}, {"a log that has become shorter", "e2", 1}} {
		if after := resume(t, v, c.epoch, c.last); after != 0 {
			t.Errorf("%s: goes on at %d", c.name, after)
		}
		total, err := v.Total(t.Context())
		must(t, err)
		if total != (Total{}) {
			t.Errorf("%s: still shows %+v", c.name, total)
		}
		gates, err := v.Gates(t.Context(), day)
		must(t, err)
		if len(gates) != 1 || gates[0].Name != "Gate 1" {
			t.Errorf("%s: the places are gone", c.name)
		}
		apply(t, v, b.records...)
	}
}

func TestUnusableFileIsRebuilt(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(path string)
	}{
		{"no database", func(path string) { os.WriteFile(path, []byte("not a database at all, whatever its name says"), 0o600) }},
		{"torn", func(path string) { os.Truncate(path, 5000) }},
		{"other zone", func(path string) {
			v, err := Open(t.Context(), path, time.UTC)
			must(t, err)
			v.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "view.db")
			v, b := open(t, path), newBook(t)
			resume(t, v, "e1", 0)
			b.add("d1", at(7, 0), pass(entry.In, entry.Admit))
			apply(t, v, b.records...)
			must(t, v.Close())
			c.spoil(path)
			v = open(t, path)
			if after := resume(t, v, "e1", 1); after != 0 {
				t.Errorf("goes on at %d", after)
			}
			apply(t, v, b.records...)
		})
	}
}

// Clocks and sequences that no sound kiosk shows are counted, and break nothing.
func TestImpossibleNumbers(t *testing.T) {
	v, b := fresh(t), newBook(t)
	b.seqs["d1"] = math.MaxUint64 - 9
	for _, wall := range []time.Time{time.UnixMilli(0), time.UnixMilli(math.MaxInt64), time.UnixMilli(math.MinInt64)} {
		b.add("d1", wall, pass(entry.In, entry.Admit))
	}
	apply(t, v, b.records...)
	total, err := v.Total(t.Context())
	must(t, err)
	if total.Passages.In != 3 || total.Dateless != 3 {
		t.Errorf("total %+v, want 3 without a date", total)
	}
	gates, err := v.Gates(t.Context(), day)
	must(t, err)
	if gates[0].Begins != math.MaxUint64-8 {
		t.Errorf("begins at %d", gates[0].Begins)
	}
}

func TestUntrustedClockIsSaid(t *testing.T) {
	v, b := fresh(t), newBook(t)
	d, err := entry.NewDraft(entry.Stamp{}, pass(entry.In, entry.Admit))
	must(t, err)
	e := entry.Entry{Kind: d.Kind, Boot: 2, Stamp: entry.Stamp{Wall: at(7, 0), Trust: entry.TrustSeen}, Body: d.Body}
	b.record(Record{Batch: &Batch{"d1", [][]byte{b.raw("d1", e), b.raw("d1", e)}}})
	b.add("d1", at(7, 0), entry.Undo{Seq: 1})
	for i, want := range []Count{{In: 2, Unsure: 2}, {In: 1, Unsure: 1}} {
		apply(t, v, b.records[i])
		if total, err := v.Total(t.Context()); err != nil || total.Passages != want {
			t.Errorf("record %d: %+v, %v, want %+v", i+1, total.Passages, err, want)
		}
	}
}

// A kiosk that starts without the time dates its passages when it learns it, whether in the same batch or much later.
func TestLaterTimeDatesEarlierPassages(t *testing.T) {
	entryAt := func(boot uint32, wall time.Time, mono time.Duration, trust entry.Trust) entry.Entry {
		d, err := entry.NewDraft(entry.Stamp{}, pass(entry.In, entry.Admit))
		must(t, err)
		return entry.Entry{Kind: d.Kind, Boot: boot, Stamp: entry.Stamp{Wall: wall, Mono: mono, Trust: trust}, Body: d.Body}
	}
	lost := time.UnixMilli(0)
	b := newBook(t)
	b.record(Record{Batch: &Batch{"d1", [][]byte{
		b.raw("d1", entryAt(1, lost, time.Minute, entry.TrustNone)),
		b.raw("d1", entryAt(2, lost, time.Minute, entry.TrustNone)),
	}}})
	b.record(Record{Batch: &Batch{"d1", [][]byte{
		b.raw("d1", entryAt(2, lost, 2*time.Minute, entry.TrustNone)),
		b.raw("d1", entryAt(2, at(7, 0), 3*time.Minute, entry.TrustClock)),
		b.raw("d1", entryAt(2, lost, 4*time.Minute, entry.TrustNone)),
	}}})
	b.record(Record{Batch: &Batch{"d1", [][]byte{b.raw("d1", entryAt(2, lost, 5*time.Minute, entry.TrustNone))}}})
	grown, at1 := fresh(t), fresh(t)
	for _, r := range b.records {
		apply(t, grown, r)
	}
	apply(t, at1, b.records...)
	for name, v := range map[string]*View{"grown": grown, "at once": at1} {
		total, err := v.Total(t.Context())
		must(t, err)
		if want := (Count{In: 6, Unsure: 1}); total.Passages != want {
			t.Errorf("%s: %+v, want %+v", name, total.Passages, want)
		}
		days, err := v.Passages(t.Context(), day, day)
		must(t, err)
		if len(days) != 1 || days[0].In != 5 {
			t.Errorf("%s: %+v, want five passages of boot 2", name, days)
		}
	}
}
