package input

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/device"
)

// codes are the keys of a US keyboard by what they type, from linux/input-event-codes.h.
var codes = map[rune]uint16{
	'1': 2, '2': 3, '3': 4, '4': 5, '5': 6, '6': 7, '7': 8, '8': 9, '9': 10, '0': 11, '-': 12, '=': 13, '\t': 15,
	'q': 16, 'w': 17, 'e': 18, 'r': 19, 't': 20, 'y': 21, 'u': 22, 'i': 23, 'o': 24, 'p': 25, '[': 26, ']': 27, '\n': 28,
	'a': 30, 's': 31, 'd': 32, 'f': 33, 'g': 34, 'h': 35, 'j': 36, 'k': 37, 'l': 38, ';': 39, '\'': 40, '`': 41,
	'\\': 43, 'z': 44, 'x': 45, 'c': 46, 'v': 47, 'b': 48, 'n': 49, 'm': 50, ',': 51, '.': 52, '/': 53, ' ': 57,
}

// shifts are what the same keys type with Shift.
var shifts = map[rune]rune{
	'!': '1', '@': '2', '#': '3', '$': '4', '%': '5', '^': '6', '&': '7', '*': '8', '(': '9', ')': '0', '_': '-', '+': '=',
	'{': '[', '}': ']', ':': ';', '"': '\'', '~': '`', '|': '\\', '<': ',', '>': '.', '?': '/',
}

func down(code uint16) event { return event{kindKey, code, 1} }
func up(code uint16) event   { return event{kindKey, code, 0} }

// typed returns the events of a scanner that types a text, a report's end after each key.
func typed(t testing.TB, text string) (all []event) {
	t.Helper()
	for _, r := range text {
		shift := r >= 'A' && r <= 'Z'
		if shift {
			r += 'a' - 'A'
		}
		if base, ok := shifts[r]; ok {
			r, shift = base, true
		}
		code, ok := codes[r]
		if !ok {
			t.Fatalf("no key for %q", r)
		}
		press := []event{down(code), {}, up(code), {}}
		if shift {
			press = append(append([]event{down(leftShift)}, press...), up(leftShift))
		}
		all = append(all, press...)
	}
	return all
}

// raw is how the kernel writes events, with a time of all ones.
func raw(events []event) (b []byte) {
	for _, e := range events {
		for range timeSize {
			b = append(b, 0xff)
		}
		b = binary.NativeEndian.AppendUint16(b, e.kind)
		b = binary.NativeEndian.AppendUint16(b, e.code)
		b = binary.NativeEndian.AppendUint32(b, uint32(e.value))
	}
	return b
}

const everyKey = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 `-=[]\\;',./ ~!@#$%^&*()_+{}|:\"<>?"

func TestDecoder(t *testing.T) {
	with := func(key uint16, events ...event) []event {
		return append(append([]event{down(key)}, events...), up(key))
	}
	for _, c := range []struct {
		name   string
		events []event
		want   string // texts parted by line ends; "lost" for ErrLost
	}{
		{"every key", typed(t, everyKey+"\n"), everyKey},
		{"Tab ends one too", typed(t, "a\tb\n"), "a\nb"},
		{"so does the keypad's Enter", append(typed(t, "a"), down(keypadEnter)), "a"},
		{"no end yet", typed(t, "a"), ""},
		{"Enter alone is no text", typed(t, "\n\na\n"), "a"},
		{"the right Shift", append(with(rightShift, down(30), up(30)), down(keyEnter)), "A"},
		{"two Shifts, one let go", append(with(leftShift, down(rightShift), up(rightShift), down(30)), down(keyEnter)), "A"},
		{"the keypad", []event{down(71), down(82), down(83), down(98), down(78), down(keyEnter)}, "70./+"},
		{"a repeat types nothing", []event{down(30), {kindKey, 30, 2}, {kindKey, 30, 2}, up(30), down(keyEnter)}, "a"},
		{"Alt and a number on the keypad", append(with(leftAlt, typed(t, "0225")...), typed(t, "b\n")...), "b"},
		{"Ctrl and a letter", append(with(rightCtrl, typed(t, "j\n")...), typed(t, "b\n")...), "b"},
		{"keys that type nothing", []event{down(1), down(59), down(300), down(30), down(keyEnter)}, "a"},
		{"other kinds of events", []event{{4, 30, 1}, down(30), {0x11, 28, 1}, down(keyEnter)}, "a"},
		{"as long as a code may be", typed(t, strings.Repeat("x", maxText)+"\n"), strings.Repeat("x", maxText)},
		{"one longer", typed(t, strings.Repeat("x", maxText+1)+"yz\nb\n"), "lost\nb"},
		{"the kernel dropped keys", append(append(typed(t, "ab"), event{kindSync, syncDropped, 0}), typed(t, "c\nd\n")...), "lost\nd"},
		{"and a Shift's release with them", append([]event{down(leftShift), {kindSync, syncDropped, 0}, down(keyEnter)}, typed(t, "a\n")...), "lost\na"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d decoder
			var got []string
			for _, e := range events(raw(c.events)) {
				text, err := d.press(e)
				if errors.Is(err, ErrLost) {
					text = "lost"
				}
				if text != "" {
					got = append(got, text)
				}
			}
			if s := strings.Join(got, "\n"); s != c.want {
				t.Errorf("got %.80q, want %.80q", s, c.want)
			}
		})
	}
}

// plug returns a scanner at the end of a pipe, and its other end.
func plug(t *testing.T) (*Wedge, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); r.Close() })
	return newWedge(r), w
}

func write(t *testing.T, w *os.File, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestNext(t *testing.T) {
	w, keys := plug(t)
	write(t, keys, raw(typed(t, "HD1:A\nsecond\nthi")))
	write(t, keys, raw(typed(t, "rd\n")))
	for _, want := range []string{"HD1:A", "second", "third"} {
		if got, err := w.Next(t.Context()); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	keys.Close()
	if _, err := w.Next(t.Context()); !errors.Is(err, device.ErrGone) {
		t.Errorf("unplugged: %v", err)
	}
}

// What was typed before a context ended is not lost with it.
func TestNextEndsWithItsContext(t *testing.T) {
	w, keys := plug(t)
	write(t, keys, raw(typed(t, "ab")))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	write(t, keys, raw(typed(t, "c\n")))
	if got, err := w.Next(t.Context()); err != nil || got != "abc" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCloseEndsNext(t *testing.T) {
	w, _ := plug(t)
	done := make(chan error)
	go func() {
		_, err := w.Next(t.Context())
		done <- err
	}()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, device.ErrGone) {
		t.Errorf("closed: %v", err)
	}
}

func TestOpenWhatIsNoScanner(t *testing.T) {
	for _, path := range []string{t.TempDir() + "/event0", os.DevNull} {
		if _, err := Open(path); !errors.Is(err, device.ErrGone) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(raw(typed(f, everyKey+"\n")))
	f.Add(raw([]event{down(leftAlt), down(71), {kindSync, syncDropped, 0}, up(leftAlt), down(30), down(keyEnter)}))
	f.Fuzz(func(t *testing.T, block []byte) {
		var d decoder
		for _, e := range events(block) {
			text, _ := d.press(e)
			if len(text) > maxText {
				t.Errorf("a text of %d characters", len(text))
			}
			for _, b := range []byte(text) {
				if b < ' ' || b > '~' {
					t.Errorf("typed byte %#x", b)
				}
			}
		}
	})
}
