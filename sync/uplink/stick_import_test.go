package uplink

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// carry imports the stick into the rig's hub.
func (r *rig) carry(dir string) Tally {
	r.t.Helper()
	m := Import{Stick: open(r.t, dir), Exchange: r.exchange, Refused: func(_, what string, why any) { r.t.Logf("%s refused: %v", what, why) }}
	t, err := m.Device(r.t.Context(), r.device())
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// exchange asks the rig's hub.
func (r *rig) exchange(ctx context.Context, method, path, _ string, body []byte) (s wire.State, err error) {
	answer := httptest.NewRecorder()
	r.hub.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(body)))
	if answer.Code == http.StatusOK {
		return s, json.Unmarshal(answer.Body.Bytes(), &s)
	}
	var p wire.Problem
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil {
		return s, err
	}
	return s, p
}

// An entry that was set aside travels as its gap: the hub would refuse it again, and all behind it.
func TestStickCarriesWhatStandsForAnEntrySetAside(t *testing.T) {
	r, dir := newRig(t, 20), t.TempDir()
	r.options.Aside = filepath.Join(t.TempDir(), "aside")
	r.hub.silent = true
	refused := r.hub.refuse(7)
	r.run("the last entry", func() bool {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return r.hub.head.Seq == 20
	})
	*refused, r.hub.entries, r.hub.head = 0, nil, entry.Head{} // it loses its disk
	r.mustExport(dir)
	if got := r.carry(dir); got.Refused != 0 || got.Taken != 20 || *refused != 0 {
		t.Errorf("%+v, and the hub refused %d batches", got, *refused)
	}
	r.chained(7)
}

// The hub got the first entries by the network and gives no receipt yet, so that it stands inside the stick's batch: it
// asks for the rest by again.txt, and the next visit brings it.
func TestHubStandsInsideABatchOfTheStick(t *testing.T) {
	r, dir := newFullRig(t, 500), t.TempDir()
	r.mustExport(dir)
	raws, err := r.journal.Range(0, 37, 1<<20)
	if err != nil || len(raws) != 37 {
		t.Fatal(len(raws), err)
	}
	r.hub.entries, r.hub.head, r.hub.silent = raws, entry.Head{Seq: 37, Hash: entry.HashOf(raws[36])}, true
	if got := r.carry(dir); got.Refused != 1 || got.Up != 37 {
		t.Errorf("the first import: %+v", got)
	}
	if text, err := os.ReadFile(filepath.Join(r.folder(dir), stickAgain)); string(text) != "37\n" {
		t.Errorf("the hub asks for what is behind %q, %v", text, err)
	}
	r.mustExport(dir)
	if s := r.spans(dir); s != "1-500 38-500" {
		t.Errorf("batches %s", s)
	}
	if got := r.carry(dir); got.Up != 500 {
		t.Errorf("the second import: %+v", got)
	}
	r.whole()
}
