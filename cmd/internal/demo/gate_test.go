package demo

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/process"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

var bin string // where the programs of this run are built

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "gatepost-test-")
	if err != nil {
		panic(err)
	}
	bin = filepath.Join(dir, "bin")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// programs builds the programs once for all tests of a run.
var programs = sync.OnceValues(func() (builder, error) {
	b, err := findBuilder(bin)
	if err != nil {
		return b, err
	}
	return b, errors.Join(b.build(context.Background(), "gatekiosk"), b.build(context.Background(), "gatehub"))
})

// newGate makes a demo without a story: real programs, started by the test.
func newGate(t *testing.T, lanes []lane) *demo {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	b, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{Options: Options{Out: io.Discard}, began: time.Now(), news: make(chan struct{})}
	if d.world, err = newWorld(t.TempDir(), lanes); err != nil {
		t.Fatal(err)
	}
	if d.relay, err = newRelay(d.relayAddr, d.hubAddr, filepath.Join(d.dir, "wire.bin")); err != nil {
		t.Fatal(err)
	}
	d.kiosk = process.New(b.path("gatekiosk"), d.dir, "kiosk", "-config", d.kioskConfig)
	d.hub = process.New(b.path("gatehub"), d.dir, "hub", "-config", d.hubConfig)
	t.Cleanup(func() {
		d.kiosk.Stop()
		d.hub.Stop()
		d.relay.Close()
		if t.Failed() {
			for _, p := range []*process.Process{d.kiosk, d.hub} {
				log, _ := os.ReadFile(p.Log)
				t.Logf("%s:\n%s", filepath.Base(p.Log), log)
			}
		}
	})
	return d
}

func (d *demo) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder draws n people's cards into a folder of pictures.
func folder(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		p := person{"Nguyễn Thị " + string(rune('A'+i)), "1990", fmt.Sprintf("0010900%05d", i)}
		m, err := qrcode.NewQRCodeWriter().Encode(p.card(), gozxing.BarcodeFormat_QR_CODE, 480, 480, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"})
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, m); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return dir
}

// saved waits until the kiosk holds n passages or more.
func (d *demo) saved(t *testing.T, n int) {
	t.Helper()
	d.must(t, await(t.Context(), time.Minute, fmt.Sprintf("entry %d", n), func() bool {
		s, err := d.state()
		return err == nil && s.Saved >= n
	}))
}

// whole checks that stored, hub, pulled and receipted agree, once everything has settled.
func (d *demo) whole(t *testing.T) tally {
	t.Helper()
	d.must(t, await(t.Context(), time.Minute, "the last picture", func() bool {
		s, err := d.state()
		return err == nil && !slices.ContainsFunc(s.Lanes, func(l guard.Lane) bool {
			return strings.HasPrefix(l.Source, "files:") && l.Text != "no more pictures"
		})
	}))
	d.must(t, await(t.Context(), time.Minute, "the last receipt", d.settled))
	d.kiosk.Stop()
	counts, err := d.count(t.Context())
	d.must(t, err)
	if err := counts.check(false); err != nil {
		t.Errorf("%v: %v", err, counts)
	}
	return counts
}

// A folder of pictures ends in a pull; the hub is away for the whole run and the kiosk dies once in between.
func TestOutage(t *testing.T) {
	const people = 12
	d := newGate(t, []lane{{"gate-1", "files:" + folder(t, people), "in"}})
	d.must(t, d.kiosk.Start())
	d.saved(t, people+1) // and the boot
	d.kiosk.Kill()
	d.must(t, d.kiosk.Start())
	d.must(t, d.awaitKiosk(t.Context()))
	d.must(t, d.hub.Start())
	counts := d.whole(t)
	if counts.stored < people+2 { // the folder is shown anew after the kill, so there may be twice as many
		t.Errorf("%v: fewer than the people and two boots", counts)
	}
}

// The hub comes back with an empty disk: the kiosk sends everything again, and a puller's old cursor is told
// where to begin.
func TestHubLosesItsDisk(t *testing.T) {
	d := newGate(t, []lane{{"gate-1", "files:" + folder(t, 5), "in"}})
	d.must(t, d.hub.Start())
	d.must(t, d.kiosk.Start())
	d.saved(t, 6)
	d.must(t, await(t.Context(), time.Minute, "the last receipt", d.settled))
	old := d.lastCursor(t)
	d.hub.Stop()
	for _, store := range []string{"log", "view.db"} {
		d.must(t, os.RemoveAll(filepath.Join(d.hubData, store)))
	}
	d.must(t, d.hub.Start())
	d.must(t, await(t.Context(), time.Minute, "the hub's second start", func() bool {
		n, err := d.hubSeq()
		return err == nil && n >= 6
	}))
	d.whole(t)
	status, problem := d.pullAfter(t, old)
	if status != http.StatusGone || problem.Type != wire.ProblemCursor || problem.Start == "" {
		t.Fatalf("old cursor: %d, %+v", status, problem)
	}
	if status, _ := d.pullAfter(t, problem.Start); status != http.StatusOK {
		t.Errorf("the new start: %d", status)
	}
}

// hubSeq asks the hub itself how much it holds.
func (d *demo) hubSeq() (uint64, error) {
	client, err := d.hubClient()
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	s, err := d.state()
	if err != nil {
		return 0, err
	}
	r, err := client.Get(d.hubURL + wire.PathDevice + s.Device)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var state wire.State
	return state.Seq, json.NewDecoder(r.Body).Decode(&state)
}

// pullAfter asks for one page and returns its status, and the problem when it is one.
func (d *demo) pullAfter(t *testing.T, cursor string) (status int, p wire.Problem) {
	t.Helper()
	r := d.getEntries(t, "?limit=1&after="+url.QueryEscape(cursor))
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		d.must(t, json.NewDecoder(r.Body).Decode(&p))
	}
	return r.StatusCode, p
}

func (d *demo) lastCursor(t *testing.T) (cursor string) {
	t.Helper()
	r := d.getEntries(t, "?limit=1000")
	defer r.Body.Close()
	for lines := json.NewDecoder(r.Body); ; {
		var e struct {
			Cursor string `json:"cursor"`
		}
		if err := lines.Decode(&e); err != nil {
			return cursor
		}
		cursor = e.Cursor
	}
}

func (d *demo) getEntries(t *testing.T, query string) *http.Response {
	t.Helper()
	client, err := d.hubClient()
	d.must(t, err)
	token, err := os.ReadFile(d.token)
	d.must(t, err)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.hubURL+wire.PathLog+query, nil)
	d.must(t, err)
	q.Header.Set("Authorization", "Bearer "+string(trim(token)))
	r, err := client.Do(q)
	d.must(t, err)
	return r
}

// A disk that takes nothing: a fault, never a green, and the gate works again by itself once there is room.
func TestFullDisk(t *testing.T) {
	d := newGate(t, demoLanes(""))
	d.must(t, d.kiosk.Start())
	d.must(t, d.awaitKiosk(t.Context()))
	declared := func(p person) string {
		text, err := d.declare(p, healthy(d.form), time.Now())
		d.must(t, err)
		return text
	}
	d.must(t, d.visit(t.Context(), "with room", laneIn, entry.Admit, entry.ReasonDeclared, declared(dung)))
	before, err := d.state()
	d.must(t, err)
	d.must(t, d.kiosk.Fill(true))
	d.must(t, d.show(laneIn, declared(mai)))
	d.must(t, await(t.Context(), seen, "the fault", func() bool {
		s, err := d.state()
		return err == nil && len(s.Shown) == 1 && s.Shown[0].Verdict == entry.Failed && len(s.Faults) > 0
	}))
	if s, err := d.state(); err != nil || s.Seq != before.Seq {
		t.Errorf("entry %d after %d on a full disk, %v", s.Seq, before.Seq, err)
	}
	d.must(t, d.kiosk.Fill(false))
	d.must(t, await(t.Context(), seen, "the end of the fault", func() bool {
		s, err := d.state()
		return err == nil && len(s.Faults) == 0 && len(s.Shown) == 0
	}))
	d.must(t, d.visit(t.Context(), "with room again", laneIn, entry.Admit, entry.ReasonDeclared, declared(son)))
	d.kiosk.Stop()
	report, err := journal.Check(filepath.Join(d.kioskData, "journal"), nil)
	d.must(t, err)
	if len(report.Damage) > 0 || report.Entries < 4 {
		t.Errorf("%+v", report)
	}
}

// What a hub refuses, it does not store: a foreign body, and one over the limit.
func TestHubRefusesBadBodies(t *testing.T) {
	d := newGate(t, demoLanes(""))
	d.must(t, d.hub.Start())
	client, err := d.hubClient()
	d.must(t, err)
	post := func(body string) (status int, p wire.Problem) {
		d.must(t, await(t.Context(), time.Minute, "the hub", func() bool {
			r, err := client.Post(d.hubURL+wire.PathBatches, wire.TypeBatch, strings.NewReader(body))
			if err != nil {
				return false
			}
			defer r.Body.Close()
			status = r.StatusCode
			return json.NewDecoder(r.Body).Decode(&p) == nil
		}))
		return status, p
	}
	if status, p := post("not a batch"); status != http.StatusBadRequest || p.Type != wire.ProblemBatch {
		t.Errorf("foreign body: %d, %+v", status, p)
	}
	if status, p := post(strings.Repeat("x", wire.MaxBatch+1)); status != http.StatusRequestEntityTooLarge || p.Type != wire.ProblemTooLarge {
		t.Errorf("large body: %d, %+v", status, p)
	}
}
