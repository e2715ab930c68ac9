package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/daemon"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// start runs the program with args and returns its exit status and what it wrote.
func start(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = program.Run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kiosk.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongWords(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"extra"}, {"-config", "/nonexistent/kiosk.toml"}} {
		if code, _, errs := start(t.Context(), args...); code != daemon.Usage || errs == "" {
			t.Errorf("%q: status %d, %q", args, code, errs)
		}
	}
}

func TestPrintedConfigLoads(t *testing.T) {
	code, text, _ := start(t.Context(), "-print-config")
	if code != daemon.OK {
		t.Fatalf("status %d", code)
	}
	crlf := "\uFEFF" + strings.ReplaceAll(text, "\n", "\r\n")
	for _, text := range []string{text, crlf} {
		c, err := config.LoadKiosk(write(t, text))
		if err != nil || len(c.Lanes) != 1 || c.Lanes[0].Name != "gate-1" {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func TestThreeFaultsAtOnce(t *testing.T) {
	code, _, errs := start(t.Context(), "-config", write(t, `schema = 1
colour = "green"
[venue]
timezone = "Mars/Olympus"
[[lane]]
name = "gate-1"
source = "sim:"
direction = "sideways"
`))
	if code != daemon.Usage {
		t.Errorf("status %d", code)
	}
	for _, want := range []string{"line 2: colour", "line 4: venue.timezone", "line 8: lane.0.direction"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
}

func TestConsoleNeedsAPort(t *testing.T) {
	code, _, errs := start(t.Context(), "-config", write(t, "schema = 1\n[console]\nlisten = \"0.0.0.0\"\n"))
	if code != daemon.Usage || !strings.Contains(errs, "line 3") {
		t.Errorf("status %d, %s", code, errs)
	}
}

func TestNoPlaceToKeepEntries(t *testing.T) {
	file := write(t, "not a folder")
	code, _, errs := start(t.Context(), "-config", write(t, "schema = 1\ndata = \""+file+"\"\n[console]\nlisten = \"\"\n"))
	if code != daemon.Fault || !strings.Contains(errs, "data folder") {
		t.Errorf("status %d, %s", code, errs)
	}
}

// The program ends in order on its signal, and a second one cannot have the same journal.
func TestRunsUntilItsSignalAndAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	path := write(t, "schema = 1\n[console]\nlisten = \""+address+"\"\n[[lane]]\nname = \"gate-1\"\nsource = \"sim:manual\"\ndirection = \"in\"\n")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		code, _, _ := start(ctx, "-config", path)
		ended <- code
	}()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		select {
		case code := <-ended:
			t.Fatalf("ended with %d", code)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if code, _, errs := start(t.Context(), "-config", path); code != daemon.Fault || !strings.Contains(errs, "journal") {
		t.Errorf("a second kiosk on one journal: status %d, %s", code, errs)
	}
	stop()
	if code := <-ended; code != daemon.OK {
		t.Errorf("ended with %d", code)
	}
}

// What was once trusted stays the floor of the time, however often the kiosk starts with a wrong clock.
func TestTimeNeverFallsBehindATrustedEntry(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{Device: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c := &config.Kiosk{}
	c.Venue.Clock = "system"
	good := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for _, s := range []struct {
		at   time.Time
		want entry.Trust
	}{
		{written.AddDate(-1, 0, 0), entry.TrustNone}, // before there was a program
		{good, entry.TrustClock},
		{good.AddDate(-1, 0, 0), entry.TrustNone},
		{good.AddDate(-1, 0, 1), entry.TrustNone},
		{good.Add(time.Hour), entry.TrustClock},
	} {
		clock, err := newClock(c, j, func() time.Time { return s.at }, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		stamp := clock.Stamp()
		if stamp.Trust != s.want {
			t.Errorf("start at %v: trust %v, want %v", s.at, stamp.Trust, s.want)
		}
		d, err := entry.NewDraft(stamp, entry.Boot{Program: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}
