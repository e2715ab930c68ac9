package kiosk

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost/cmd/internal/guard"
	"gatepost/device"
	"gatepost/device/wall"
	"gatepost/scanner"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/hd1"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
)

// A bench is a kiosk on a workbench: real journal and memory, a clock that the test sets, no camera.
type bench struct {
	*Kiosk
	t         *testing.T
	dir       string
	size      int64 // of the journal, 0: ample
	lane      *lane
	declarer  ed25519.PrivateKey
	authority *ecdh.PrivateKey

	mu  sync.Mutex
	now time.Time
}

var morning = time.Date(2026, 11, 23, 7, 30, 0, 0, time.FixedZone("+07", 7*3600))

func newBench(t *testing.T) *bench { return newBenchIn(t, t.TempDir()) }

func newBenchIn(t *testing.T, dir string) *bench {
	b := &bench{t: t, dir: dir, now: morning}
	_, b.declarer, _ = ed25519.GenerateKey(rand.Reader)
	var err error
	if b.authority, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	b.open()
	return b
}

// open starts the kiosk on what its folder holds.
func (b *bench) open() {
	b.t.Helper()
	j, err := journal.Open(b.dir, journal.Options{Device: "0123456789abcdef", MaxSize: b.size})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { j.Close() })
	clock := wall.New(wall.Options{Now: b.clock, Synced: func() bool { return true }, Seen: lastTrusted(b.t, j)})
	now := b.clock()
	if now.Before(clock.Seen()) { // as gatekiosk does
		now = clock.Seen()
	}
	m, err := memory.Open(filepath.Join(b.dir, "memory"), morning.Location(), now, rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { m.Close() })
	forms, err := form.Shipped()
	if err != nil {
		b.t.Fatal(err)
	}
	sealer, err := entry.NewSealer(b.authority.PublicKey())
	if err != nil {
		b.t.Fatal(err)
	}
	b.Kiosk, err = New(Options{
		Program: "test", Venue: "test", Device: "0123456789abcdef", Zone: morning.Location(), Journal: j, Memory: m, Sealer: sealer, Clock: clock,
		Trust: credential.Trust{Declarers: []ed25519.PublicKey{b.declarer.Public().(ed25519.PublicKey)}},
		Policy: admission.Policy{
			Families: []credential.Family{"cccd", "personal", "bhyt", "hd1"}, Forms: []string{"covid-2021"},
			Unprovable: "look", Duplicate: time.Minute, Passback: admission.PassbackOff,
		},
		Forms: forms, Log: slog.New(slog.DiscardHandler),
		Lanes: []Lane{{Name: "gate-1", Source: "test:", Direction: entry.In, Open: func(context.Context) (Source, error) { return nil, device.ErrGone }}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.lane = b.lanes[0]
}

// restart ends the kiosk and starts it on the same folder.
func (b *bench) restart() {
	b.t.Helper()
	b.Journal.Close()
	b.Memory.Close()
	b.open()
}

func lastTrusted(t *testing.T, j *journal.Journal) time.Time {
	t.Helper()
	raws, err := j.Range(max(j.Head().Seq, 1)-1, 1, entry.MaxSize)
	if err != nil || len(raws) == 0 {
		return time.Time{}
	}
	e, err := entry.Parse(raws[0])
	if err != nil {
		t.Fatal(err)
	}
	return e.Wall
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// show lets texts stand before the lane and returns the newest verdict, or nil when nothing new was shown.
func (b *bench) show(texts ...string) *guard.Recent {
	before := len(b.recent)
	var last uint64
	if before > 0 {
		last = b.recent[0].Seq
	}
	b.see(b.t.Context(), b.lane, texts)
	if r := b.State().Recent; len(r) > 0 && (len(r) != before || r[0].Seq != last || r[0].Seq == 0) {
		return &r[0]
	}
	return nil
}

func (b *bench) want(what string, got *guard.Recent, v entry.Verdict, r entry.Reason) {
	b.t.Helper()
	if got == nil {
		b.t.Errorf("%s: no verdict, want %v (%s)", what, v, r)
	} else if got.Verdict != v || got.Reason != r {
		b.t.Errorf("%s: %v (%s), want %v (%s)", what, got.Verdict, got.Reason, v, r)
	}
}

const (
	cardA = "012345678912|123456789|Nguyễn Văn A|01011990|Nam|Xã Mẫu|01012022"
	cardB = "001185000202||Trần Thị Bích|20081985|Nữ|Xã Mẫu|01012022"
)

// declare issues the declaration of the person on cardA.
func (b *bench) declare(answers map[string]any, at time.Time) string {
	b.t.Helper()
	text, err := hd1.Issue(b.declarer, credential.Person{Name: "Nguyễn Văn A", Birth: "1990"}, credential.Declaration{
		Form: "covid-2021", Version: 1, Answers: answers, Issued: at, Expires: at.Add(24 * time.Hour), Tail: "8912",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// healthy answers every question of the form with no, but for those in yes.
func (b *bench) healthy(yes ...string) map[string]any {
	answers := map[string]any{}
	f, ok := b.Forms["covid-2021/1"]
	if !ok {
		b.t.Fatal("no form covid-2021/1")
	}
	for _, q := range f.Questions {
		answers[q.ID] = false
	}
	for _, id := range yes {
		if _, ok := answers[id]; !ok {
			b.t.Fatalf("the form has no question %q", id)
		}
		answers[id] = true
	}
	return answers
}

func TestDeclaredThenBareCard(t *testing.T) {
	b := newBench(t)
	b.want("declaration", b.show(b.declare(b.healthy(), morning)), entry.Admit, entry.ReasonDeclared)
	b.pass(10 * time.Minute)
	b.want("bare card, remembered", b.show(cardA), entry.Admit, entry.ReasonRemembered)
	b.pass(10 * time.Minute)
	b.restart()
	b.want("bare card after a restart", b.show(cardA), entry.Admit, entry.ReasonRemembered)
	b.pass(10 * time.Minute)
	b.want("somebody else's bare card", b.show(cardB), entry.Look, entry.ReasonNeedsAnswers)
	b.pass(8 * 24 * time.Hour)
	b.want("bare card after the form's freshness", b.show(cardA), entry.Look, entry.ReasonNeedsAnswers)
}

func TestRefusedAnswerIsNotRemembered(t *testing.T) {
	b := newBench(t)
	b.want("declaration", b.show(b.declare(b.healthy(), morning)), entry.Admit, entry.ReasonDeclared)
	b.pass(10 * time.Minute)
	b.want("ill now", b.show(b.declare(b.healthy("signs"), b.clock())), entry.Refuse, entry.ReasonRefusedAnswer)
	b.pass(10 * time.Minute)
	b.want("bare card", b.show(cardA), entry.Look, entry.ReasonNeedsAnswers)
}

func TestAnswersAtTheConsole(t *testing.T) {
	b := newBench(t)
	b.want("bare card", b.show(cardB), entry.Look, entry.ReasonNeedsAnswers)
	ask := b.State().Ask
	if ask == nil || len(ask.Items) != len(b.Forms["covid-2021/1"].Questions) {
		t.Fatalf("the console asks %+v", ask)
	}
	do := func(id string, answers map[string]any) error {
		return b.Do(t.Context(), guard.Action{Answer: &guard.Answer{ID: id, Answers: answers}})
	}
	if err := do(ask.ID, map[string]any{}); err == nil {
		t.Error("missing answers were taken")
	}
	if err := do("another", b.healthy()); err == nil {
		t.Error("answers to another question were taken")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the page was closed in the same moment
	if err := b.Do(gone, guard.Action{Answer: &guard.Answer{ID: ask.ID, Answers: b.healthy()}}); err != nil {
		t.Fatal(err)
	}
	b.want("answered", &b.State().Recent[0], entry.Admit, entry.ReasonAnswered)
	if err := do(ask.ID, b.healthy()); err == nil {
		t.Error("a question was answered twice")
	}
	b.pass(10 * time.Minute)
	b.want("second visit", b.show(cardB), entry.Admit, entry.ReasonRemembered)
}

func TestTheSamePersonAgain(t *testing.T) {
	b := newBench(t)
	text := b.declare(b.healthy(), morning)
	b.want("first", b.show(text), entry.Admit, entry.ReasonDeclared)
	b.pass(3 * time.Second)
	if got := b.show(cardA); got != nil {
		t.Errorf("after 3 s: %v (%s), want nothing", got.Verdict, got.Reason)
	}
	b.pass(5 * time.Second)
	b.want("after 8 s", b.show(text), entry.Look, entry.ReasonDuplicate)
	b.pass(time.Minute)
	if err := b.Do(t.Context(), guard.Action{Turn: &guard.Turn{Lane: "gate-1", Direction: "out"}}); err != nil {
		t.Fatal(err)
	}
	b.want("going out", b.show(cardA), entry.Admit, entry.ReasonLeaving)
	if in, _ := b.Memory.Inside(b.clock()); in != 0 {
		t.Errorf("%d inside after everyone left", in)
	}
}

func TestSeveralCodes(t *testing.T) {
	b := newBench(t)
	b.want("two people", b.show(cardA, cardB), entry.Look, entry.ReasonSeveral)
	b.pass(time.Minute)
	b.want("one person's card and declaration", b.show(cardA, b.declare(b.healthy(), b.clock())), entry.Admit, entry.ReasonDeclared)
	b.pass(time.Minute)
	b.want("a poster behind a person", b.show("https://qr.pccovid.gov.vn/ABC", cardB), entry.Look, entry.ReasonNeedsAnswers)
}

// What a person shows is data: every text gets a verdict, none an error.
func TestHostileTexts(t *testing.T) {
	b := newBench(t)
	whole := b.declare(b.healthy(), morning)
	for what, text := range map[string]string{
		"empty": "", "binary": "\x00\xff\xfe\x01", "4,000 bytes": strings.Repeat("Ắ", 1333), "truncated": whole[:len(whole)/2],
		"changed": whole[:40] + "7" + whole[41:], "SQL": "'; DROP TABLE entry; --", "HTML": "<script>alert(1)</script>", "pipes": strings.Repeat("|", 4000),
		"a format": "%s%n%d", "HD1 alone": "HD1:", "a venue": "https://qr.pccovid.gov.vn/ABC123",
	} {
		got := b.show(text)
		if got == nil || got.Verdict == entry.Admit || got.Verdict == entry.Failed {
			t.Errorf("%s: %+v", what, got)
		}
		b.pass(time.Minute)
	}
}

func TestClockSetBackAYear(t *testing.T) {
	b := newBench(t)
	text := b.declare(b.healthy(), morning)
	b.want("before", b.show(text), entry.Admit, entry.ReasonDeclared)
	head := b.Journal.Head().Seq
	b.pass(-365 * 24 * time.Hour)
	b.restart()
	if got := b.State().Clock; got != "none" {
		t.Errorf("the clock is trusted as %q", got)
	}
	got := b.show(b.declare(b.healthy(), morning))
	if got == nil || got.Verdict != entry.Look {
		t.Errorf("with a clock that cannot tell: %+v", got)
	}
	if now := b.Journal.Head().Seq; now != head+1 {
		t.Errorf("sequence %d after %d", now, head)
	}
	b.pass(365*24*time.Hour + time.Minute)
	if got := b.State().Clock; got != "clock" {
		t.Errorf("set right again, the clock is trusted as %q", got)
	}
}

func TestUndoIsANewEntry(t *testing.T) {
	b := newBench(t)
	b.want("declaration", b.show(b.declare(b.healthy(), morning)), entry.Admit, entry.ReasonDeclared)
	seq := b.State().Recent[0].Seq
	undo := guard.Action{Undo: &guard.Undo{Seq: seq}}
	if err := b.Do(t.Context(), undo); err != nil {
		t.Fatal(err)
	}
	if err := b.Do(t.Context(), undo); err == nil {
		t.Error("a passage was undone twice")
	}
	if in, _ := b.Memory.Inside(b.clock()); in != 0 {
		t.Errorf("%d inside after the undo", in)
	}
	raws, err := b.Journal.Range(seq, 10, 1<<20)
	if err != nil || len(raws) != 1 {
		t.Fatalf("%d entries after the passage, %v", len(raws), err)
	}
	if e, _ := entry.Parse(raws[0]); e.Kind != entry.KindUndo {
		t.Errorf("the entry after the passage is a %v", e.Kind)
	}
	b.restart()
	if !b.State().Recent[0].Undone {
		t.Error("the undo is forgotten after a restart")
	}
}

// A kiosk whose first entries are receipted and deleted starts like any other.
func TestStartsAfterDeletion(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.show(b.declare(b.healthy(), b.clock()))
		b.pass(time.Hour)
	}
	_, hub, _ := ed25519.GenerateKey(rand.Reader)
	if err := b.Journal.PutReceipt(entry.NewReceipt(hub, b.Device, b.Journal.Head(), b.clock())); err != nil {
		t.Fatal(err)
	}
	b.pass(25 * time.Hour) // a file's period
	if n, err := b.Journal.Prune(t.Context(), b.clock(), b.Clock.Stamp()); n != 3 || err != nil {
		t.Fatalf("%d entries deleted, %v", n, err)
	}
	b.show(b.declare(b.healthy(), b.clock()))
	b.restart()
	if r := b.State().Recent; len(r) != 1 || r[0].Seq != 5 {
		t.Errorf("recent verdicts %+v", r)
	}
}

// A kiosk whose journal was damaged tells how much is in doubt, on the screen and in the next entry, and goes on.
func TestRepairedJournalIsSaid(t *testing.T) {
	b := newBench(t)
	b.show(cardA)
	b.show(cardB)
	b.Journal.Close()
	b.Memory.Close()
	if err := os.Truncate(filepath.Join(b.dir, "0000000000000001.db"), 0); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.tellRepairs(t.Context())
	if f := b.State().Faults; len(f) != 1 || !strings.Contains(f[0], "journal repaired: 4352 entries in doubt") {
		t.Errorf("faults %q", f)
	}
	gap := entry.Head{}
	for e, err := range b.Journal.Last(10) {
		if err != nil {
			t.Fatal(err)
		}
		if f, err := entry.Decode[entry.Fault](e); err == nil && strings.Contains(f.Text, "4352") && gap.Seq == e.Seq-1 {
			return
		}
		gap.Seq = e.Seq
	}
	t.Error("no entry tells of the repair")
}

// The personal part opens with the authority's key, and nothing of it stands on the disk in clear.
func TestWhatIsOnTheDisk(t *testing.T) {
	b := newBench(t)
	b.show(b.declare(b.healthy(), morning))
	b.pass(time.Minute)
	b.show(cardB)
	raws, err := b.Journal.Range(0, 10, 1<<20)
	if err != nil || len(raws) != 2 {
		t.Fatalf("%d entries, %v", len(raws), err)
	}
	e, _ := entry.Parse(raws[1])
	p, err := entry.Decode[entry.Passage](e)
	if err != nil {
		t.Fatal(err)
	}
	personal, err := entry.Unseal(b.authority, p.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if personal.Name != "Trần Thị Bích" || personal.Number != "001185000202" || personal.Reason != entry.ReasonNeedsAnswers {
		t.Errorf("the seal holds the wrong person, or reason %q", personal.Reason)
	}
	b.Journal.Close()
	for _, needle := range []string{"Trần", "Bích", "001185000202", "TRAN THI BICH", "Nguyễn", "NGUYEN VAN A", "8912"} {
		if file := grep(t, b.dir, needle); file != "" {
			t.Errorf("%q stands in %s", needle, file)
		}
	}
}

// grep returns a file below dir that holds needle.
func grep(t *testing.T, dir, needle string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), needle) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A journal that takes nothing is a fault, never a green light, and nothing is remembered of the person.
func TestNoGreenWithoutTheJournal(t *testing.T) {
	b := newBench(t)
	var lamps []guard.Face
	b.Lamp = func(f guard.Face) error { lamps = append(lamps, f); return nil }
	b.Journal.Close()
	b.want("declaration", b.show(b.declare(b.healthy(), morning)), entry.Failed, entry.ReasonJournal)
	if len(lamps) != 1 || lamps[0] != guard.Broken {
		t.Errorf("lamps %v", lamps)
	}
	if s := b.State(); len(s.Faults) != 1 || len(s.Shown) != 1 || s.Shown[0].Face != guard.Broken {
		t.Errorf("the guard sees %+v", s)
	}
	if in, _ := b.Memory.Inside(b.clock()); in != 0 {
		t.Errorf("%d inside", in)
	}
}

// After a refused answer nothing older helps: not in the same moment, not a minute later, not over a restart.
func TestARefusalStands(t *testing.T) {
	b := newBench(t)
	healthy, ill := b.declare(b.healthy(), morning.Add(-time.Hour)), b.declare(b.healthy("signs"), morning)
	b.want("both in view", b.show(healthy, ill), entry.Refuse, entry.ReasonRefusedAnswer)
	b.pass(10 * time.Minute)
	b.want("the older one alone", b.show(healthy), entry.Look, entry.ReasonNeedsAnswers)
	later := b.declare(b.healthy(), b.clock())
	b.pass(10 * time.Minute)
	b.want("a later one", b.show(later), entry.Admit, entry.ReasonDeclared)
	b.pass(2 * time.Second)
	b.want("ill within the moment that is ignored", b.show(b.declare(b.healthy("signs"), b.clock())), entry.Refuse, entry.ReasonRefusedAnswer)
	b.restart()
	b.pass(time.Hour)
	b.want("bare card after a restart", b.show(cardA), entry.Look, entry.ReasonNeedsAnswers)
}

// cardC is another person of the same name and year, whose number ends as that of cardA.
const cardC = "001090778912||Nguyễn Văn A|02021990|Nam|Xã Khác|01012022"

func TestNamesakesAreTwoPeople(t *testing.T) {
	b := newBench(t)
	b.want("both cards at once", b.show(cardA, cardC), entry.Look, entry.ReasonSeveral)
	b.pass(time.Minute)
	b.show(cardA)
	if err := b.Do(t.Context(), guard.Action{Answer: &guard.Answer{ID: b.State().Ask.ID, Answers: b.healthy()}}); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Minute)
	b.want("the namesake's card", b.show(cardC), entry.Look, entry.ReasonNeedsAnswers)
}

// The same card before eight lanes at once is one person, and many undos of one passage are one.
func TestLanesAndGuardsAtOnce(t *testing.T) {
	b := newBench(t)
	text := b.declare(b.healthy(), morning)
	var all sync.WaitGroup
	for range 8 {
		l := &lane{Lane: Lane{Name: rand.Text(), Direction: entry.In}}
		all.Go(func() { b.see(t.Context(), l, []string{text}) })
	}
	all.Wait()
	if n := len(b.State().Recent); n != 1 {
		t.Fatalf("%d verdicts, want 1", n)
	}
	seq := b.State().Recent[0].Seq
	for range 8 {
		all.Go(func() { b.Do(t.Context(), guard.Action{Undo: &guard.Undo{Seq: seq}}) })
	}
	all.Wait()
	if head := b.Journal.Head().Seq; head != seq+1 {
		t.Errorf("%d entries after the passage, want one undo", head-seq)
	}
}

// secondLane adds a lane, gate-2, and a lamp, whose face it returns.
func (b *bench) secondLane() (*guard.Face, *lane) {
	lamp, other := new(guard.Face), &lane{Lane: Lane{Name: "gate-2", Direction: entry.In}}
	b.Lamp = func(f guard.Face) error { *lamp = f; return nil }
	b.lanes = append(b.lanes, other)
	return lamp, other
}

// The lamp says the gravest of what the screens say: one lane's green does not hide another's red.
func TestLampAndScreensAgree(t *testing.T) {
	b := newBench(t)
	lamp, other := b.secondLane()
	b.want("ill", b.show(b.declare(b.healthy("signs"), morning)), entry.Refuse, entry.ReasonRefusedAnswer)
	b.see(t.Context(), other, []string{cardB})
	if s := b.State().Shown; len(s) != 2 || *lamp != guard.Stop {
		t.Errorf("lamp %q beside %d screens", *lamp, len(s))
	}
	b.mu.Lock()
	standing := b.shown["gate-1"]
	b.mu.Unlock()
	b.clear(standing)
	if s := b.State().Shown; len(s) != 1 || s[0].Lane != "gate-2" || *lamp != guard.Ask {
		t.Errorf("lamp %q beside %+v", *lamp, s)
	}
}

// A fault goes from every lane's screen once the journal is written again, also when somebody at another lane was
// the first to find that out.
func TestFaultLeavesEveryScreen(t *testing.T) {
	b := newBench(t)
	lamp, other := b.secondLane()
	good := b.Journal
	b.Journal = closedJournal(t)
	b.show(cardA)
	if *lamp != guard.Broken {
		t.Fatalf("lamp %q without a journal", *lamp)
	}
	b.Journal = good
	b.see(t.Context(), other, []string{cardB})
	b.retryJournal(t.Context())
	if s := b.State().Shown; len(s) != 1 || s[0].Lane != "gate-2" || *lamp != guard.Ask {
		t.Errorf("lamp %q beside %+v", *lamp, s)
	}
}

func closedJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{Device: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return j
}

// Whatever a driver or a hub says of itself fits an entry, and is no fault of the journal.
func TestLongFaultsAreCut(t *testing.T) {
	b := newBench(t)
	b.Alarm(t.Context(), strings.Repeat("Ắ", 9000))
	raws, err := b.Journal.Range(0, 10, 1<<20)
	if err != nil || len(raws) != 1 {
		t.Fatalf("%d entries, %v", len(raws), err)
	}
	e, _ := entry.Parse(raws[0])
	f, err := entry.Decode[entry.Fault](e)
	if err != nil || len(f.Text) == 0 || len(f.Text) > maxFault || !utf8.ValidString(f.Text) {
		t.Errorf("%d bytes, %v", len(f.Text), err)
	}
	if s := b.State(); len(s.Faults) != 1 {
		t.Errorf("faults %q", s.Faults)
	}
}

// A question stays while the guard types, and goes when the person was admitted otherwise.
func TestQuestionsWait(t *testing.T) {
	b := newBench(t)
	b.show(cardA)
	first := b.State().Ask
	b.pass(10 * time.Second)
	b.show(cardA)
	if again := b.State().Ask; again == nil || again.ID != first.ID {
		t.Errorf("the same person is asked anew: %+v", again)
	}
	b.Journal.Close()
	if err := b.Do(t.Context(), guard.Action{Answer: &guard.Answer{ID: first.ID, Answers: b.healthy()}}); err == nil {
		t.Error("answers that could not be kept were taken")
	}
	if again := b.State().Ask; again == nil || again.ID != first.ID {
		t.Errorf("the question is gone though nothing was kept: %+v", again)
	}
	b.restart()
	b.pass(10 * time.Second)
	b.show(cardA)
	b.pass(10 * time.Second)
	b.show(b.declare(b.healthy(), b.clock()))
	if again := b.State().Ask; again != nil {
		t.Errorf("somebody who was admitted is still asked: %+v", again)
	}
}

// A start with a wrong clock destroys nothing of what the venue remembers.
func TestMemoryOutlivesAWrongClock(t *testing.T) {
	b := newBench(t)
	b.want("declaration", b.show(b.declare(b.healthy(), morning)), entry.Admit, entry.ReasonDeclared)
	b.pass(-50 * 365 * 24 * time.Hour)
	b.restart()
	b.show(cardB)
	b.pass(50*365*24*time.Hour + time.Hour)
	b.restart()
	b.want("bare card", b.show(cardA), entry.Admit, entry.ReasonRemembered)
}

// A source that sends what it is told and then is gone.
type source struct {
	sights []scanner.Sighting
	err    error
}

func (s *source) Next(context.Context) (scanner.Sighting, error) {
	if len(s.sights) == 0 {
		return scanner.Sighting{}, s.err
	}
	next := s.sights[0]
	s.sights = s.sights[1:]
	return next, nil
}

func (s *source) Close() error { return nil }

func TestAGoneCameraIsAState(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	opened := 0
	b.lane.Open = func(context.Context) (Source, error) {
		if opened++; opened == 1 {
			return &source{[]scanner.Sighting{{Texts: []string{cardB}}}, device.ErrGone}, nil
		}
		cancel() // it was looked for again
		return nil, device.ErrGone
	}
	b.Run(ctx)
	s := b.State()
	if opened != 2 || s.Lanes[0].OK || !strings.Contains(s.Lanes[0].Text, "gone") {
		t.Errorf("opened %d times, lane %+v", opened, s.Lanes[0])
	}
	if len(s.Recent) != 1 {
		t.Errorf("%d verdicts before it went", len(s.Recent))
	}
}
