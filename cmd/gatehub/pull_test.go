package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// puller returns a client of p.
func (p *process) puller(t *testing.T) *pull.Client {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(p.dir, "token"))
	must(t, err)
	return &pull.Client{HTTP: p.http, URL: p.url, Token: strings.TrimSpace(string(token))}
}

// The store is deleted while a puller waits for news: it learns where the new log begins, and from there every entry
// comes once more, the old ones that the gate sends again and the new ones.
func TestStoreIsDeletedUnderAWaitingPuller(t *testing.T) {
	dir := t.TempDir()
	g := newGate(t, dir, "gate-1")
	p := start(t, dir)
	old := g.send(t, p, 5)
	before := *g
	_, cursor, err := p.pull(t, "")
	must(t, err)
	c := p.puller(t)
	waiting := make(chan error)
	go func() {
		_, n, err := c.Page(t.Context(), cursor, 9, time.Minute, func(pull.Line) error { return nil })
		if n > 0 {
			err = fmt.Errorf("%d entries came out of nowhere", n)
		}
		waiting <- err
	}()
	must(t, os.RemoveAll(filepath.Join(p.dir, "log")))
	p.stop(t, syscall.SIGKILL)
	if err := <-waiting; !errors.Is(err, pull.ErrReach) {
		t.Errorf("the hub died, and the puller that waited got %v", err)
	}

	p = start(t, dir)
	c = p.puller(t)
	_, _, err = c.Page(t.Context(), cursor, 9, time.Minute, nil)
	var gone wire.Problem
	if !errors.As(err, &gone) || gone.Status != http.StatusGone || gone.Start == "" || old.Seq != 5 {
		t.Fatalf("the old cursor: %v", err)
	}
	g.head = entry.Head{} // the contact tells it that the hub holds nothing
	if s := g.send(t, p, int(before.head.Seq)+2); s.Seq != 7 {
		t.Errorf("the hub stands at %d", s.Seq)
	}
	seen := map[uint64]int{}
	for at, n := gone.Start, 1; n > 0; {
		at, n, err = c.Page(t.Context(), at, 2, 0, func(l pull.Line) error { seen[l.Seq]++; return nil })
		must(t, err)
	}
	if fmt.Sprint(seen) != "map[1:1 2:1 3:1 4:1 5:1 6:1 7:1]" {
		t.Errorf("entries and how often they came: %v", seen)
	}
}

// Receipts wait for the consumer that the configuration names, also over a restart.
func TestReceiptsWaitForTheKeeper(t *testing.T) {
	dir := t.TempDir()
	g := newGate(t, dir, "gate-1")
	p := start(t, dir, `keeper = "ministry"`)
	if s := g.send(t, p, 3); s.Seq != 3 || s.Receipt != nil {
		t.Errorf("nobody has taken anything: %+v", s)
	}
	_, cursor, err := p.pull(t, "")
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url+wire.PathConsumers+"ministry/cursor", bytes.NewReader([]byte(cursor)))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+p.puller(t).Token)
	res, err := p.http.Do(r)
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("the cursor is not taken: %s", res.Status)
	}
	for range 2 {
		s := g.send(t, p, 1)
		if s.Receipt == nil || s.Receipt.Seq != 3 {
			t.Errorf("the keeper has 3 of %d: %+v", s.Seq, s.Receipt)
		}
		p.stop(t, syscall.SIGKILL)
		p = start(t, dir, `keeper = "ministry"`)
	}
}
