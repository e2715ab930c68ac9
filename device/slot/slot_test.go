package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// errCut means that the power has failed.
var errCut = errors.New("power")

// A pi is a model of a Pi with tryboot: what it holds survives a power cut, and its power fails before any step that the test
// names. Source: the firmware's documentation of autoboot.txt and tryboot.
type pi struct {
	t       *testing.T
	state   []byte // as the data partition has it
	def     Slot
	flag    bool // tryboot: the next start is the other slot's
	booted  Slot
	tried   bool
	systems [2]system
	steps   int // left until the power fails; below 0: it does not
	starts  int
}

// A system is what lies in a slot.
type system struct {
	Image
	whole bool
	hangs bool
}

// step is one thing that is done or is not.
func (p *pi) step() error {
	if p.steps == 0 {
		p.steps = -1
		return errCut
	}
	p.steps--
	return nil
}

func (p *pi) Booted() (Slot, bool)   { return p.booted, p.tried }
func (p *pi) Default() (Slot, error) { return p.def, nil }

func (p *pi) SetDefault(s Slot) error {
	if err := p.step(); err != nil {
		return err
	}
	p.def = s
	return p.step()
}

func (p *pi) Try(s Slot) error {
	if err := p.step(); err != nil {
		return err
	}
	p.flag = true
	return errCut // the board starts again
}

// start gives the board power until a system runs that does not hang: the watchdog starts it again.
func (p *pi) start() {
	p.t.Helper()
	for range 3 {
		p.starts++
		p.booted, p.tried = p.def, false
		if p.flag {
			p.booted, p.tried, p.flag = p.def.Other(), true, false
		}
		if s := p.systems[p.booted]; s.whole && !s.hangs {
			return
		}
		if !p.tried {
			p.t.Fatalf("the default, slot %v, does not start: %+v", p.booted, p.systems)
		}
	}
	p.t.Fatal("it never starts")
}

// open is what the program does first.
func (p *pi) open() (*Machine, error) {
	return open(p, p.state, p.systems[p.booted].Image, func(raw []byte) error {
		if err := p.step(); err != nil {
			return err
		}
		p.state = raw
		return p.step()
	})
}

// update is one whole update as a gate does it, until it is done, fails, or the power does. sound says whether the new system
// works, which it finds out by itself after the start.
func (p *pi) update(i Image, hangs, sound bool) error {
	m, err := p.open()
	if err != nil {
		return err
	}
	to, err := m.Prepare(i)
	if err != nil {
		return err
	}
	if to == p.def {
		p.t.Fatal("the default would be written over")
	}
	p.systems[to] = system{Image: i}
	if err := p.step(); err != nil { // in the middle of the image
		return err
	}
	p.systems[to].whole, p.systems[to].hangs = true, hangs
	if err := m.Try(i, false); !errors.Is(err, errCut) {
		p.t.Fatal(err)
	}
	if !p.flag {
		return errCut
	}
	p.start()
	m, err = p.open()
	if err != nil || !onTrial(m) {
		return err
	}
	if !sound {
		p.start() // it says no, and starts the board again
		_, err := p.open()
		return err
	}
	if _, err := m.Prepare(v(i.Version + 1)); err == nil {
		p.t.Error("the way back is written over before the new system has proved itself")
	}
	return m.Healthy()
}

func onTrial(m *Machine) bool { on, _ := m.Trial(); return on }

func newPi(t *testing.T) *pi {
	p := &pi{t: t, steps: -1}
	p.systems[A] = system{Image: Image{Version: 1, Reads: 1, Writes: 1}, whole: true}
	p.start()
	return p
}

// runs returns the version that runs after the next start.
func (p *pi) runs() uint64 {
	p.start()
	if _, err := p.open(); err != nil {
		p.t.Fatal(err)
	}
	return p.systems[p.booted].Version
}

func v(n uint64) Image { return Image{Version: n, Reads: 1, Writes: 1} }

func TestUpdate(t *testing.T) {
	p := newPi(t)
	for n, u := range []struct {
		i            Image
		hangs, sound bool
		err          error
		want         uint64
	}{
		{v(2), false, true, nil, 2},
		{v(2), false, true, ErrOlder, 2},
		{v(1), false, true, ErrOlder, 2},
		{v(3), true, true, nil, 2},   // hangs
		{v(3), false, false, nil, 2}, // starts and is not healthy
		{v(3), false, true, nil, 3},  // the same version, built better
		{Image{Version: 4, Reads: 2, Writes: 2}, false, true, ErrJournal, 3},
		{Image{Version: 4, Reads: 2, Writes: 1}, false, true, nil, 4}, // reads the next format first
		{Image{Version: 5, Reads: 2, Writes: 2}, false, true, nil, 5}, // and then writes it
		{v(4), false, true, ErrOlder, 5},
	} {
		if err := p.update(u.i, u.hangs, u.sound); !errors.Is(err, u.err) || u.err == nil && err != nil {
			t.Errorf("update %d: %v, want %v", n, err, u.err)
		}
		if got := p.runs(); got != u.want {
			t.Errorf("after update %d version %d runs, want %d", n, got, u.want)
		}
	}
}

// An image that was tried in vain is not tried again, whatever happens in between, and one that is built better is.
func TestNotTwice(t *testing.T) {
	p := newPi(t)
	bad := Image{Version: 2, Reads: 1, Writes: 1, Sum: "bad"}
	if err := p.update(bad, true, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.update(bad, false, true); !errors.Is(err, ErrFailed) {
			t.Error(err)
		}
		p.start()
	}
	better := bad
	better.Sum = "better"
	if err := p.update(better, false, true); err != nil || p.runs() != 2 {
		t.Error(err)
	}
	m, err := p.open()
	if err != nil || m.s.Images[p.booted].Sum != "better" || m.Version() != 2 {
		t.Errorf("%+v, %v", m.s, err)
	}
}

// A system of another version than was said does not become the default, and is not tried again.
func TestMislabelled(t *testing.T) {
	p := newPi(t)
	m, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	said := Image{Version: 3, Reads: 1, Writes: 1, Sum: "wrong"}
	to, err := m.Prepare(said)
	if err != nil {
		t.Fatal(err)
	}
	p.systems[to] = system{Image: v(1), whole: true}
	m.Try(said, false)
	p.start()
	if m, err = p.open(); err != nil || !onTrial(m) || m.Healthy() == nil {
		t.Error("it has proved itself", err)
	}
	p.start()
	if m, err = p.open(); err != nil || !strings.Contains(m.Trouble(), "version 3 was tried") {
		t.Errorf("%q, %v", m.Trouble(), err)
	}
	if err := m.Check(said); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
}

// Whether the hub was there before a trial is known in it, and only there.
func TestOnline(t *testing.T) {
	p := newPi(t)
	m, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Prepare(v(2))
	if err != nil {
		t.Fatal(err)
	}
	p.systems[to] = system{Image: v(2), whole: true}
	m.Try(v(2), true)
	p.start()
	m, err = p.open()
	if on, online := m.Trial(); err != nil || !on || !online {
		t.Error(on, online, err)
	}
	if err := m.Healthy(); err != nil {
		t.Error(err)
	}
	if on, online := m.Trial(); on || online {
		t.Error(on, online)
	}
}

func TestTroubleIsTold(t *testing.T) {
	p := newPi(t)
	if err := p.update(v(2), true, true); err != nil {
		t.Fatal(err)
	}
	m, err := p.open()
	if err != nil || m.Trouble() != "version 2 was tried and did not prove itself" || onTrial(m) {
		t.Errorf("%q, %v", m.Trouble(), err)
	}
	if _, err := m.Prepare(v(3)); err != nil || m.Trouble() != "" {
		t.Errorf("%q, %v", m.Trouble(), err)
	}
	p.state = []byte("{")
	if m, err := p.open(); err != nil || !strings.Contains(m.Trouble(), "damaged") {
		t.Errorf("%q, %v", m.Trouble(), err)
	}
}

// The power may fail before every step of an update, good or bad, and what starts is the old system or the new one, whole and
// sound; the update can then be had again.
func TestPowerFailsAtEveryStep(t *testing.T) {
	for _, kind := range []struct{ hangs, sound bool }{{false, true}, {false, false}, {true, false}} {
		for cut := 0; ; cut++ {
			p := newPi(t)
			if err := p.update(v(2), false, true); err != nil {
				t.Fatal(err)
			}
			p.start()
			p.steps = cut
			err := p.update(v(3), kind.hangs, kind.sound)
			failed := errors.Is(err, errCut)
			p.steps = -1
			got := p.runs()
			if got != 2 && !(got == 3 && kind.sound) {
				t.Errorf("%+v, cut %d: version %d runs (%v)", kind, cut, got, err)
			}
			if got == 2 {
				if err := p.update(v(3), false, true); err != nil || p.runs() != 3 {
					t.Errorf("%+v, cut %d: the update cannot be had again: %v", kind, cut, err)
				}
			}
			if !failed {
				if cut < 6 {
					t.Errorf("%+v: only %d steps", kind, cut)
				}
				break
			}
		}
	}
}

// Any sequence of updates, cuts, hanging and older images, and lost states ends with a system that was sound, and no version
// below one that was the default ever becomes it.
func TestAnySequence(t *testing.T) {
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := newPi(t)
		newest := uint64(1)
		sound := map[uint64]bool{1: true}
		for range 12 {
			i := v(newest + uint64(random.IntN(4)) - min(newest, 1))
			healthy := random.IntN(3) > 0
			if !sound[i.Version] {
				sound[i.Version] = healthy
			}
			p.steps = random.IntN(20) - 4
			err := p.update(i, random.IntN(4) == 0, healthy)
			p.steps = -1
			got := p.runs()
			if def := p.systems[p.def].Version; got != def || def < newest || !sound[def] {
				t.Fatalf("seed %d: version %d runs, %d is the default, %d was, sound %v (%v)\n%s", seed, got, def, newest, sound, err, p.state)
			}
			newest = max(newest, got)
		}
	}
}

func FuzzState(f *testing.F) {
	good, err := json.Marshal(state{Images: [2]Image{v(1), v(2)}, Newest: 1, Trying: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := newPi(t)
		p.state = raw
		m, err := p.open()
		if err != nil {
			t.Fatal(err)
		}
		if onTrial(m) {
			t.Error(fmt.Sprint("a state alone makes a trial: ", string(raw)))
		}
	})
}

// The state outlives the program in its file.
func TestFile(t *testing.T) {
	p, file := newPi(t), filepath.Join(t.TempDir(), "slots.json")
	if _, err := Open(p, file, v(7)); err != nil {
		t.Fatal(err)
	}
	m, err := Open(p, file, v(6)) // somebody has written an older system into the same slot by hand
	if err != nil || m.s.Newest != 7 {
		t.Fatalf("%v, %+v", err, m)
	}
	if _, err := m.Prepare(v(7)); !errors.Is(err, ErrOlder) {
		t.Error(err)
	}
	if _, err := Open(p, t.TempDir(), v(7)); err == nil {
		t.Error("a folder is a state")
	}
}
