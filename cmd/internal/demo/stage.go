package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/process"
)

// A Stage is the demo's kiosk and hub without its story, for a proof that plays one of its own. Lanes names the
// simulated lanes, the way in and the way out. Its Kiosk and Hub are not started yet.
type Stage struct {
	Data       string // the kiosk's folder
	ReceiptKey string // PEM file of the hub's public key
	Lanes      [2]string
	d          demo
}

// NewStage makes the keys and configurations of a kiosk and a hub below dir; the kiosk deletes what has a receipt and
// is older than retain. The programs lie in bin.
func NewStage(dir, bin string, retain time.Duration) (*Stage, error) {
	w, err := newWorld(dir, demoLanes("")[:2])
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(w.kioskConfig)
	if err != nil {
		return nil, err
	}
	text = bytes.Replace(text, []byte("[venue]\n"), fmt.Appendf(nil, "[venue]\nretain = %q\n", retain), 1)
	if err := os.WriteFile(w.kioskConfig, text, 0o600); err != nil {
		return nil, err
	}
	s := &Stage{Data: w.kioskData, ReceiptKey: w.receiptKey, Lanes: [2]string{laneIn, laneOut}, d: demo{world: w}}
	if s.d.relay, err = newRelay(w.relayAddr, w.hubAddr, filepath.Join(dir, "wire.bin")); err != nil {
		return nil, err
	}
	s.d.kiosk = process.New(filepath.Join(bin, "gatekiosk"), dir, "kiosk", "-config", w.kioskConfig)
	s.d.hub = process.New(filepath.Join(bin, "gatehub"), dir, "hub", "-config", w.hubConfig)
	return s, nil
}

// StartHub and StartKiosk start a program that does not run; StopKiosk lets it end in order, KillKiosk does not.
// Close ends everything.
func (s *Stage) StartHub() error   { return s.d.hub.Start() }
func (s *Stage) StartKiosk() error { return s.d.kiosk.Start() }
func (s *Stage) StopKiosk()        { s.d.kiosk.Stop() }
func (s *Stage) KillKiosk()        { s.d.kiosk.Kill() }

// Close ends both programs, the kiosk first.
func (s *Stage) Close() {
	s.d.kiosk.Stop()
	s.d.hub.Stop()
	s.d.relay.Close()
}

// Logs are the files that the programs write their logs to.
func (s *Stage) Logs() []string { return []string{s.d.kiosk.Log, s.d.hub.Log} }

// Show lets somebody hold up a code before a lane, for at most 10 s.
func (s *Stage) Show(lane, text string, hold time.Duration) error {
	return postJSON(s.d.kioskURL+"sim", map[string]any{"lane": lane, "texts": []string{text}, "hold_ms": hold.Milliseconds()})
}

// Do lets the guard act; nil means that the kiosk has said it is done.
func (s *Stage) Do(a guard.Action) error { return s.d.do(a) }

// Watch hands on every state that the kiosk's page is told, until the kiosk or ctx ends.
func (s *Stage) Watch(ctx context.Context, each func(guard.State)) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.d.kioskURL+"events", nil)
	if err != nil {
		return err
	}
	r, err := local.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var state guard.State
		if ok && json.Unmarshal([]byte(text), &state) == nil { // what a kill cut off was shown to nobody
			each(state)
		}
	}
	return lines.Err()
}

// Visitor returns the codes of the n-th of a great many invented people: of the identity card, and of a declaration by
// somebody healthy.
func (s *Stage) Visitor(n int) (card, declaration string, err error) {
	given := []string{"An", "Bích", "Chi", "Dũng", "Giang", "Hà", "Khôi", "Lan", "Mai", "Sơn"}
	name := "Nguyễn Mẫu"
	for d := n; ; d /= len(given) {
		name += " " + given[d%len(given)]
		if d < len(given) {
			break
		}
	}
	who := person{name, fmt.Sprint(1950 + n%50), fmt.Sprintf("001090%06d", n%1_000_000)}
	declaration, err = s.d.declare(who, healthy(s.d.form), time.Now())
	return who.card(), declaration, err
}

// PullFlags are the words after "gatectl pull" with which it reads all of the hub.
func (s *Stage) PullFlags() []string {
	return []string{"-hub", s.d.hubURL, "-token", s.d.token, "-ca", s.d.ca}
}
