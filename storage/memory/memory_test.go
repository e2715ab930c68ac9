package memory

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
)

var (
	hanoi = time.FixedZone("+07", 7*3600)
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, hanoi)
	card  = []string{"id:001090000001", "tail:NGUYỄN VĂN A|1990|0001"}
	other = []string{"id:001190000002", "tail:TRẦN THỊ BÍCH|1990|0002"}
)

const form = "covid-2021/1"

func open(t *testing.T, dir string, now time.Time) *Memory {
	t.Helper()
	m, err := Open(dir, hanoi, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// again closes m and opens its folder at now.
func again(t *testing.T, m *Memory, now time.Time) *Memory {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, m.dir, now)
}

func declare(t *testing.T, m *Memory, keys []string, until, now time.Time) {
	t.Helper()
	if err := m.Declare(keys, form, until, now); err != nil {
		t.Fatal(err)
	}
}

// files lists the folder.
func files(t *testing.T, m *Memory) (names []string) {
	t.Helper()
	list, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func noLoss(t *testing.T, m *Memory) {
	t.Helper()
	if l := m.Losses(); len(l) > 0 {
		t.Errorf("losses: %q", l)
	}
}

func TestTagIsOfPersonVenueAndDay(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	a := m.Tag(card, noon)
	if len(a) != 16 || !bytes.Equal(a, m.Tag(card[:1], noon.Add(time.Hour))) {
		t.Fatalf("tag %x does not stand for the first key and the day", a)
	}
	if bytes.Equal(a, m.Tag(other, noon)) {
		t.Error("two people share a tag")
	}
	if bytes.Equal(a, open(t, t.TempDir(), noon).Tag(card, noon)) {
		t.Error("two venues share a tag")
	}
	if m.Tag(nil, noon) != nil {
		t.Error("nobody has a tag")
	}
	key, err := os.ReadFile(m.path("day", "2026-11-23", "key"))
	if err != nil {
		t.Fatal(err)
	}
	m = again(t, m, noon.Add(11*time.Hour+59*time.Minute))
	if !bytes.Equal(a, m.Tag(card, noon.Add(11*time.Hour+59*time.Minute))) {
		t.Error("the tag changed in a restart")
	}
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, hanoi) // 17:00 in UTC
	if bytes.Equal(a, m.Tag(card, midnight)) {
		t.Error("the tag outlives its day")
	}
	if got := files(t, m); !slices.Equal(got, []string{"day-2026-11-24.key"}) {
		t.Errorf("files %q", got)
	}
	if fresh, err := os.ReadFile(m.path("day", "2026-11-24", "key")); err != nil || bytes.Equal(fresh, key) {
		t.Errorf("the key was not changed: %v", err)
	}
	noLoss(t, m)
}

func TestKeyIsOverwrittenBeforeItIsRemoved(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	path := m.path("day", "2026-11-23", "key")
	witness := filepath.Join(m.dir, "witness") // a second name of the same bytes
	if err := os.Link(path, witness); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	m.Tag(card, noon.Add(24*time.Hour))
	if b, err := os.ReadFile(witness); err != nil || !bytes.Equal(b, make([]byte, dayKeySize)) {
		t.Errorf("%x is left of the key, %v", b, err)
	}
}

func TestClockStepsBack(t *testing.T) {
	after := time.Date(2026, 11, 24, 0, 0, 1, 0, hanoi)
	for name, c := range map[string]struct {
		back time.Time
		file string
		ends time.Time
	}{
		"over midnight": {after.Add(-2 * time.Second), "day-2026-11-24.key", after.Add(24 * time.Hour)},
		"by a year":     {after.AddDate(-1, 0, 0), "day-2025-11-24.key", after.AddDate(-1, 0, 1)},
	} {
		m := open(t, t.TempDir(), after)
		tag := m.Tag(card, after)
		declare(t, m, card, after.Add(time.Hour), after)
		if !bytes.Equal(m.Tag(card, c.back), tag) || m.Past(card, c.back).Form != form {
			t.Errorf("%s: a key was lost early", name)
		}
		if got := files(t, m); !slices.Contains(got, c.file) {
			t.Errorf("%s: files %q, want %s", name, got, c.file)
		}
		m = again(t, m, c.back)
		if !bytes.Equal(m.Tag(card, c.back), tag) {
			t.Errorf("%s: the key was lost in a restart", name)
		}
		if bytes.Equal(m.Tag(card, c.ends), tag) {
			t.Errorf("%s: the key stays for ever", name)
		}
		noLoss(t, m)
	}
}

// What was declared under a clock that was ahead, or before one went back, is neither lost at once nor kept
// for ever, on disk or in the process, however many days it were.
func TestDeclarationsOfTheFutureGo(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	ahead := noon.AddDate(50, 0, 0)
	for i := range 7 {
		declare(t, m, []string{card[0], string(rune('a' + i))}, ahead.Add(MaxAge), ahead.AddDate(0, 0, i-6))
	}
	for i := range 9 {
		now := noon.AddDate(0, 0, i)
		if i < 2 && m.Past(card, now).Form != form {
			t.Errorf("day %d: lost early", i)
		}
		if i == 8 && m.Past(card, now).Form != "" {
			t.Error("still there after a week")
		}
		declare(t, m, other, now.Add(MaxAge), now)
		m = again(t, m, now)
		got := strings.Join(files(t, m), " ")
		if n := strings.Count(got, "remember"); n > 2*9 || strings.Contains(got, "2076") {
			t.Errorf("day %d: %d files: %s", i, n, got)
		}
	}
	noLoss(t, m)
}

func TestDeclarationIsRemembered(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	until := noon.Add(50 * time.Hour)
	declare(t, m, card, until, noon)
	for i, keys := range [][]string{card, card[:1], card[1:], {"x", card[1]}} {
		if p := m.Past(keys, noon.Add(time.Hour)); !p.Until.Equal(until) || p.Form != form {
			t.Errorf("keys %d: %+v", i, p)
		}
	}
	if p := m.Past(other, noon); p != (Past{}) {
		t.Errorf("another person: %+v", p)
	}
	m = again(t, m, noon.Add(49*time.Hour))
	if p := m.Past(card[1:], noon.Add(49*time.Hour)); !p.Until.Equal(until) || p.Form != form {
		t.Errorf("after a restart two days later: %+v", p)
	}
	if p := m.Past(card, until); !p.Until.IsZero() {
		t.Errorf("after its end: %+v", p)
	}
	if got := files(t, m); slices.ContainsFunc(got, func(n string) bool { return strings.Contains(n, "11-23") }) {
		t.Errorf("files of a day whose last declaration has ended: %q", got)
	}
	noLoss(t, m)
}

func TestDeclarationEndsAfterSevenDays(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.AddDate(0, 1, 0), noon)
	if p := m.Past(card, noon.Add(MaxAge-time.Second)); !p.Until.Equal(noon.Add(MaxAge)) {
		t.Errorf("at the end of seven days: %+v", p)
	}
	if p := m.Past(card, noon.Add(MaxAge)); !p.Until.IsZero() {
		t.Errorf("after seven days: %+v", p)
	}
	if got := files(t, m); slices.Contains(got, "remember-2026-11-23.key") || slices.Contains(got, "remember-2026-11-23.log") {
		t.Errorf("files %q", got)
	}
}

func TestEachDeclarationEndsByItself(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(time.Hour), noon)
	declare(t, m, other, noon.Add(50*time.Hour), noon)
	if p := m.Past(card, noon.Add(time.Hour)); p != (Past{}) {
		t.Errorf("it has ended: %+v", p)
	}
	if p := m.Past(other, noon.Add(time.Hour)); p.Form != form {
		t.Errorf("it has not ended: %+v", p)
	}
}

func TestForgetIsKept(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(100*time.Hour), noon)
	declare(t, m, card, noon.Add(100*time.Hour), noon.Add(24*time.Hour))
	declare(t, m, other, noon.Add(100*time.Hour), noon)
	now := noon.Add(25 * time.Hour)
	if err := m.Forget(card, now.Add(24*time.Hour), now); err != nil {
		t.Fatal(err)
	}
	if p := m.Past(card, now); !p.Refused.Equal(now) {
		t.Errorf("forgotten at %v, want %v", p.Refused, now)
	}
	for range 2 {
		if p := m.Past(card, now); !p.Until.IsZero() || p.Form != "" {
			t.Errorf("forgotten: %+v", p)
		}
		if p := m.Past(other, now); p.Form != form {
			t.Errorf("the other person: %+v", p)
		}
		m = again(t, m, now)
	}
	declare(t, m, card, noon.Add(100*time.Hour), now)
	if p := m.Past(card, now); p.Form != form {
		t.Errorf("declared again: %+v", p)
	}
}

func TestDamagedRecords(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		left   int // of three
		lost   bool
	}{
		"whole":      {func(b []byte) []byte { return b }, 3, false},
		"torn":       {func(b []byte) []byte { return b[:len(b)-1] }, 2, false},
		"torn early": {func(b []byte) []byte { return append(b, 1, 2, 3) }, 3, false},
		"flipped":    {func(b []byte) []byte { b[recordSize+5] ^= 1; return b }, 2, true},
		"emptied":    {func(b []byte) []byte { return nil }, 0, false},
		"replaced":   {func(b []byte) []byte { return bytes.Repeat([]byte{7}, 5*recordSize) }, 0, true},
	} {
		m := open(t, t.TempDir(), noon)
		people := [][]string{{"id:1"}, {"id:2"}, {"id:3"}}
		for _, p := range people {
			declare(t, m, p, noon.Add(time.Hour), noon)
		}
		path := m.path("remember", "2026-11-23", "log")
		b, err := os.ReadFile(path)
		if err != nil || len(b) != 3*recordSize {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		m.Close()
		if err := os.WriteFile(path, c.damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		m = open(t, m.dir, noon)
		left := 0
		for _, p := range people {
			if m.Past(p, noon).Form == form {
				left++
			}
		}
		if lost := len(m.Losses()) > 0; left != c.left || lost != c.lost {
			t.Errorf("%s: %d are left, told: %v", name, left, lost)
		}
		declare(t, m, card, noon.Add(time.Hour), noon)
		if m = again(t, m, noon); m.Past(card, noon).Form != form {
			t.Errorf("%s: nothing is remembered behind it", name)
		}
	}
}

func TestDamagedKeysAreNoEnd(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(time.Hour), noon)
	m.Close()
	for _, use := range []string{"day", "remember"} {
		if err := os.WriteFile(m.path(use, "2026-11-23", "key"), []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m = open(t, m.dir, noon)
	if l := m.Losses(); len(l) != 2 {
		t.Errorf("losses %q", l)
	}
	declare(t, m, card, noon.Add(time.Hour), noon)
	if len(m.Tag(card, noon)) != 16 || m.Past(card, noon).Form != form {
		t.Error("it does not work again")
	}
}

func TestTooManyRecordsDropTheOldestDay(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(100*time.Hour), noon)
	later := noon.Add(24 * time.Hour)
	declare(t, m, other, noon.Add(100*time.Hour), later)
	m.days[0].records = MaxRecords // as if
	declare(t, m, other, noon.Add(100*time.Hour), later)
	if l := m.Losses(); len(l) != 1 || !strings.Contains(l[0], "2026-11-23") {
		t.Errorf("losses %q", l)
	}
	if m.Past(card, later).Form != "" || m.Past(other, later).Form != form {
		t.Error("the wrong day was dropped")
	}
	if slices.Contains(files(t, m), "remember-2026-11-23.key") {
		t.Error("the key is still there")
	}
}

// A name or a number in any file would be found, in the clear or as a plain hash's input never is.
func TestNoNameOnDisk(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(time.Hour), noon)
	pass(m, 101, card, entry.In, noon)
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range []string{"NGUY", "001090000001", form} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q", d.Name(), word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "file", "x"), hanoi, noon, strings.NewReader("")); err == nil {
		t.Error("no randomness is no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, hanoi, noon, rand.Reader); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func TestLanesAtOnce(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	var wg sync.WaitGroup
	for lane := range 4 {
		wg.Go(func() {
			for i := range 25 {
				keys := []string{string(rune('a'+lane)) + string(rune('a'+i))}
				now := noon.Add(time.Duration(i) * time.Hour) // over midnight
				if err := m.Declare(keys, form, now.Add(48*time.Hour), now); err != nil {
					t.Error(err)
				}
				pass(m, 102, keys, entry.In, now)
				if p := m.Past(keys, now); p.Form != form || !p.Last.Equal(now) {
					t.Errorf("%+v", p)
				}
			}
		})
	}
	wg.Wait()
	if in, stale := m.Inside(noon.Add(25 * time.Hour)); in+stale != 100 {
		t.Errorf("%d inside, %d stale", in, stale)
	}
}

// Two people may share a name, a year and four digits. Whose card says more is told apart by that.
func TestNamesakes(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	a, b, declared := []string{"id:1", "tail:x"}, []string{"id:2", "tail:x"}, []string{"tail:x"}
	pass(m, 103, a, entry.In, noon)
	if p := m.Past(b, noon); !p.Last.IsZero() {
		t.Errorf("the namesake passed at %v", p.Last)
	}
	if p := m.Past(declared, noon); p.Last.IsZero() {
		t.Error("by a declaration alone the person is not recognised")
	}
	pass(m, 104, b, entry.In, noon)
	if in, _ := m.Inside(noon); in != 2 {
		t.Errorf("%d inside, want 2", in)
	}
	pass(m, 105, b, entry.Out, noon)
	if p := m.Past(a, noon); p.LastDirection != entry.In {
		t.Error("one left, and the namesake counts as gone")
	}
}

func TestClosedMemoryKnowsNobody(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if tag := m.Tag([]string{"id:1"}, noon); tag != nil {
		t.Errorf("tag %x under a wiped key", tag)
	}
	if err := m.Declare([]string{"id:1"}, "shift/1", noon.Add(time.Hour), noon); err == nil {
		t.Error("a closed memory remembers")
	}
}
