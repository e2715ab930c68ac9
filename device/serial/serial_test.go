package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// terminal returns the scanner's end of a pseudo-terminal, and the path of the other.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	scanner := os.NewFile(uintptr(fd), "scanner")
	t.Cleanup(func() { scanner.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return scanner, fmt.Sprintf("/dev/pts/%d", n)
}

func TestNext(t *testing.T) {
	scanner, path := terminal(t)
	r, err := Open(path, 9600)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range [][2]string{ // what is sent, and what is told of it
		{"HD1:ABC\r\n", "HD1:ABC"},
		{"012345678912||Trần Thị Bích|02031990\r", "012345678912||Trần Thị Bích|02031990"},
		{"\x03\x04\x11no signal, no flow control\n", "\x03\x04\x11no signal, no flow control"},
		{"no end at all", "no end at all"},
		{"\xff\xfe\n", "\ufffd"},
	} {
		if _, err := scanner.WriteString(c[0]); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Next(t.Context()); got != c[1] || err != nil {
			t.Errorf("%q is told as %q, %v", c[0], got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
	scanner.Close()
	if _, err := r.Next(t.Context()); !errors.Is(err, device.ErrGone) {
		t.Errorf("unplugged: %v", err)
	}
}

func TestOpenWhatIsNone(t *testing.T) {
	for _, path := range []string{t.TempDir() + "/ttyACM*", "/dev/null"} {
		if _, err := Open(path, 9600); !errors.Is(err, device.ErrGone) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"a\r\nb\n\n\rc\r", []string{"a", "b", "c"}},
		{long + "\n", []string{long}},
		{long + "y\nb\n", []string{"", "b"}},
		{"unfinished", nil},
	} {
		var l lines
		if got := l.take([]byte(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%.20q… gives %d texts, want %d", c.in, len(got), len(c.want))
		}
	}
}

// However the bytes come in pieces, the texts are the same, short enough and UTF-8.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\nb\xff\n"), uint(2))
	f.Fuzz(func(t *testing.T, in []byte, cut uint) {
		var whole, pieces lines
		want := whole.take(in)
		at := int(cut % uint(len(in)+1))
		got := append(pieces.take(in[:at]), pieces.take(in[at:])...)
		if !slices.Equal(got, want) {
			t.Errorf("%q and %q", got, want)
		}
		for _, text := range got {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n") || len(text) > 3*maxText {
				t.Errorf("text %q", text)
			}
		}
	})
}
