package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// filled returns n sectors of the byte b.
func filled(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n*sectorSize) }

// first returns the first byte of each sector, which tells the whole of it.
func first(t *testing.T, content []byte) (list []byte) {
	t.Helper()
	for i := 0; i < len(content); i += sectorSize {
		if !bytes.Equal(content[i:i+sectorSize], filled(1, content[i])) {
			t.Fatalf("sector %d is torn", i/sectorSize)
		}
		list = append(list, content[i])
	}
	return list
}

func TestCacheOutlivesACutOnlyWhenFlushed(t *testing.T) {
	write := func(off int, n int, b byte) event {
		return event{action: wrote, off: int64(off) * sectorSize, data: filled(n, b)}
	}
	through := func(off int, n int, b byte) event {
		e := write(off, n, b)
		e.action = wroteThrough
		return e
	}
	flush := event{action: flushed}
	for name, c := range map[string]struct {
		events    []event
		none, all string
	}{
		"nothing":              {nil, "0000", "0000"},
		"a write":              {[]event{write(1, 2, '1')}, "0000", "0110"},
		"a flush":              {[]event{write(1, 2, '1'), flush}, "0110", "0110"},
		"a write behind it":    {[]event{write(1, 2, '1'), flush, write(2, 2, '2')}, "0110", "0122"},
		"the newest of two":    {[]event{write(0, 2, '1'), write(1, 2, '2')}, "0000", "1220"},
		"FUA":                  {[]event{write(0, 1, '1'), through(2, 2, '2')}, "0022", "1022"},
		"FUA over the cache":   {[]event{write(0, 4, '1'), through(1, 2, '2')}, "0220", "1221"},
		"the cache over a FUA": {[]event{through(1, 2, '2'), write(0, 4, '1')}, "0220", "1111"},
	} {
		for chance, want := range map[float64]string{0: c.none, 1: c.all} {
			d, err := newDisk(filled(4, '0'), false)
			if err != nil {
				t.Fatal(err)
			}
			d.on()
			for _, e := range c.events {
				if err := d.do(e); err != nil {
					t.Fatal(err)
				}
			}
			if got := string(first(t, d.seen)); got != c.all {
				t.Errorf("%s: the guest reads %s", name, got)
			}
			d.off(rand.New(rand.NewPCG(1, 1)), chance)
			if got := string(first(t, d.kept)); got != want || !bytes.Equal(d.kept, d.seen) || len(d.cache) > 0 {
				t.Errorf("%s: with %v of the cache %s is left, not %s", name, chance, got, want)
			}
		}
	}
}

// TestCutMixesVersions writes three versions of four sectors: each of 256 outcomes may come.
func TestCutMixesVersions(t *testing.T) {
	m := medium{kept: filled(4, '0')}
	for _, b := range []byte("123") {
		m.apply(event{action: wrote, data: filled(4, b)})
	}
	random, seen := rand.New(rand.NewPCG(1, 1)), map[string]bool{}
	for range 20000 {
		content := bytes.Clone(m.kept)
		for _, s := range m.cut(random, 0.5) {
			copy(content[s.off:], s.data)
		}
		seen[string(first(t, content))] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d outcomes of 256", len(seen))
	}
}

func TestLyingDisk(t *testing.T) {
	m := medium{kept: filled(1, '0'), lying: true}
	m.apply(event{action: wroteThrough, data: filled(1, '1')})
	m.apply(event{action: flushed})
	if m.kept[0] != '0' {
		t.Error("it kept its word")
	}
	for range lieSize / sectorSize {
		m.apply(event{action: wrote, data: filled(1, '2')})
	}
	if m.kept[0] != '1' || len(m.cache) != lieSize/sectorSize {
		t.Errorf("an overflowing cache leaves %c, and %d sectors", m.kept[0], len(m.cache))
	}
}

func TestPower(t *testing.T) {
	if _, err := newDisk(make([]byte, 700), false); err == nil {
		t.Error("a disk of 700 bytes")
	}
	d, err := newDisk(filled(2, '0'), false)
	if err != nil {
		t.Fatal(err)
	}
	d.record = &tape{}
	write := event{action: wrote, data: filled(1, '1')}
	if d.do(write) == nil || d.read(make([]byte, 1), 0) == nil {
		t.Error("it works without power")
	}
	dark := d.on()
	d.arm(2)
	if err := d.do(write); err != nil {
		t.Error(err)
	}
	d.say(mark{1, "x"})
	if err := d.do(event{action: flushed}); err != errDark {
		t.Errorf("the last flush was answered: %v", err)
	}
	<-dark
	if d.kept[0] != '1' {
		t.Error("what is not answered may be done all the same, and this was to be")
	}
	d.off(rand.New(rand.NewPCG(1, 1)), 1)
	if d.on() == dark || d.do(write) != nil {
		t.Error("it does not come back")
	}
	var actions []action
	for _, e := range d.record.events {
		actions = append(actions, e.action)
	}
	if want := []action{wrote, acknowledged, flushed, wrote}; !bytes.Equal(asBytes(actions), asBytes(want)) {
		t.Errorf("recorded %v", actions)
	}
}

func asBytes(list []action) (b []byte) {
	for _, a := range list {
		b = append(b, byte(a))
	}
	return b
}

func TestRecordIsBounded(t *testing.T) {
	r := tape{size: tapeSize - 1}
	if r.add(event{data: make([]byte, 1)}) != nil || r.add(event{data: make([]byte, 1)}) == nil {
		t.Error("the bound does not hold")
	}
}
