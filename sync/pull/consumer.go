package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"sync"
	"time"

	"gatepost/storage/durable"
	"gatepost/sync/wire"
)

const (
	maxConsumers    = 100
	maxName         = 40
	maxCursorBody   = 200     // bytes
	maxConsumerFile = 1 << 20 // bytes
)

// Consumers are how far the pullers that say so have come, kept durably in one file. They are of one log: what was kept
// of another, or of places that this log no longer has, is forgotten. They are safe for concurrent use.
type Consumers struct {
	path    string
	log     Log
	writing sync.Mutex // held by the one who changes the file

	mu   sync.Mutex // guards what follows
	kept map[string]consumer
}

// consumer is one puller in the file.
type consumer struct {
	Cursor string `json:"cursor"`
	Place  uint64 `json:"place"` // all entries of the records up to here have been taken
	At     int64  `json:"at"`    // when the cursor was put, milliseconds since 1970
}

// OpenConsumers reads the file, which need not exist yet. Nobody has kept anything until Attach.
func OpenConsumers(path string) (*Consumers, error) {
	c := &Consumers{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read consumers: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConsumerFile))
	if err == nil {
		c.kept, err = parseConsumers(raw)
	}
	if err != nil { // receipts only wait without it, so that deleting it harms nothing
		return nil, fmt.Errorf("read consumers: %s is damaged, delete it and let them put their cursors again: %w", path, err)
	}
	return c, nil
}

func parseConsumers(raw []byte) (kept map[string]consumer, err error) {
	if err := json.Unmarshal(raw, &kept); err != nil {
		return nil, err
	}
	for name, c := range kept {
		at, err := ParseCursor(c.Cursor)
		if err != nil || !IsConsumer(name) || c.Place > at.Seq {
			return nil, errors.New("a consumer in it cannot be")
		}
	}
	return kept, nil
}

// Attach says whose cursors these are. It must be called once, before they are served or anything counts as kept.
func (c *Consumers) Attach(ctx context.Context, log Log) error {
	_, last, err := log.Read(ctx, 0, 0)
	if err != nil {
		return fmt.Errorf("attach consumers: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
	maps.DeleteFunc(c.kept, func(_ string, k consumer) bool {
		at, err := ParseCursor(k.Cursor)
		return err != nil || at.Epoch != log.Epoch() || at.Seq > last
	})
	return nil
}

// Kept returns the place in the log up to which that consumer has taken every entry; without ok it has said nothing
// about this log.
func (c *Consumers) Kept(name string) (place uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.kept[name]
	if !ok || c.log == nil {
		return 0, false
	}
	at, err := ParseCursor(k.Cursor)
	return k.Place, err == nil && at.Epoch == c.log.Epoch()
}

// all returns what is kept now; it is not to be changed.
func (c *Consumers) all() map[string]consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept
}

// put moves a cursor forward, durably. What it refuses is a wire.Problem.
func (c *Consumers) put(ctx context.Context, name string, to Cursor, now time.Time) error {
	place, err := taken(ctx, c.log, to)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	old, known := c.all()[name]
	if at, err := ParseCursor(old.Cursor); known && err == nil && at.Epoch == to.Epoch {
		if to.Seq < at.Seq || to.Seq == at.Seq && to.Done < at.Done {
			p := problem(wire.ProblemCursor, http.StatusConflict, "the cursor goes back")
			p.Start = old.Cursor
			return p
		}
		if at == to {
			return nil
		}
	}
	if !known && len(c.all()) >= maxConsumers {
		return problem(wire.ProblemRequest, http.StatusBadRequest, "there are too many consumers")
	}
	next := maps.Clone(c.all())
	if next == nil {
		next = map[string]consumer{}
	}
	next[name] = consumer{to.String(), place, now.UnixMilli()}
	if err := c.save(next); err != nil {
		return fmt.Errorf("keep a cursor: %w", err)
	}
	c.mu.Lock()
	c.kept = next
	c.mu.Unlock()
	return nil
}

// taken returns the place of the last record whose entries all stand before the cursor.
func taken(ctx context.Context, log Log, at Cursor) (place uint64, err error) {
	records, last, err := log.Read(ctx, at.after(), 1)
	if err != nil {
		return 0, err
	}
	if at.Epoch != log.Epoch() || at.Seq > last || len(records) > 0 && records[0].Seq > at.Seq+1 {
		return 0, gone(ctx, log)
	}
	if at.Seq == 0 || len(records) == 0 || records[0].Seq != at.Seq {
		return at.after(), nil
	}
	entries := 0 // of an alarm or a release
	if records[0].IsBatch() {
		b, err := wire.Parse(records[0].Raw)
		if err != nil {
			return 0, err
		}
		entries = len(b.Entries)
	}
	switch {
	case at.Done > entries:
		return 0, problem(wire.ProblemCursor, http.StatusBadRequest, "not a cursor that this log has given")
	case at.Done < entries:
		return at.after(), nil
	}
	return at.Seq, nil
}

// save replaces the file.
func (c *Consumers) save(kept map[string]consumer) error {
	raw, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return durable.Write(c.path, raw, 0o600)
}

// IsConsumer tells whether a consumer can have this name: 1 to 40 of a-z, 0-9 and -.
func IsConsumer(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// consumer answers with a consumer's cursor, or moves it.
func (s *server) consumer(w http.ResponseWriter, r *http.Request, token Token) error {
	name := r.PathValue("name")
	if !token.everything() {
		return problem(wire.ProblemToken, http.StatusForbidden, "a token with areas cannot speak for a consumer")
	}
	if !IsConsumer(name) {
		return problem(wire.ProblemRequest, http.StatusBadRequest, "a consumer's name has 1 to 40 of a-z, 0-9 and -")
	}
	if r.Method == http.MethodPut {
		return s.putCursor(w, r, name)
	}
	k, ok := s.Consumers.all()[name]
	if !ok {
		return problem(wire.ProblemRequest, http.StatusNotFound, "no such consumer")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, k.Cursor) // an error means that the reader has gone
	return nil
}

func (s *server) putCursor(w http.ResponseWriter, r *http.Request, name string) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCursorBody))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return problem(wire.ProblemTooLarge, http.StatusRequestEntityTooLarge, "a cursor is shorter")
	} else if err != nil {
		return problem(wire.ProblemRequest, http.StatusBadRequest, "the cursor cannot be read")
	}
	to, err := ParseCursor(string(raw))
	if err != nil {
		return problem(wire.ProblemCursor, http.StatusBadRequest, "not a cursor of this kind of log")
	}
	if err := s.Consumers.put(r.Context(), name, to, s.Now()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
