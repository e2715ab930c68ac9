package lan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatepost/storage/memory"
	"gatepost/sync/wire"
)

// PathVenue is what a gate serves to its peers beside the log: GET ?day=…&have=…, a memory.Share.
const PathVenue = "/v1/venue"

const (
	venueWait  = 2 * time.Second // for news, at the most: at midnight the next question is for another day
	venueWrite = 30 * time.Second
	maxHave    = 1000    // keys that a question names
	maxVenue   = 4 << 20 // bytes of an answer
)

// venue answers a peer with what it lacks of what is remembered here, as soon as there is something.
func (l *LAN) venue(w http.ResponseWriter, r *http.Request) {
	if !isPeer(r) { // no token opens this
		problem(wire.ProblemToken, http.StatusForbidden, "for gates of this venue").Write(w)
		return
	}
	have, err := parseHave(r.URL.Query())
	if r.Method != http.MethodGet || err != nil {
		problem(wire.ProblemRequest, http.StatusBadRequest, "not a question of a gate").Write(w)
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(venueWait + venueWrite)) // fails only where no deadline exists
	share, err := l.news(r.Context(), have)
	if err != nil {
		l.Log.Error("nothing is shared", "error", err)
		problem(wire.ProblemStore, http.StatusServiceUnavailable, "what is remembered cannot be read").Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(share) // an error means that the peer has gone
}

// news returns what have lacks, for which it waits a while.
func (l *LAN) news(ctx context.Context, have memory.Have) (memory.Share, error) {
	late := time.NewTimer(venueWait)
	defer late.Stop()
	for {
		changed := l.Memory.Changed()
		s, err := l.Memory.Share(have, l.Now())
		if err != nil || len(s.Keys)+len(s.Days) > 0 {
			return s, err
		}
		select {
		case <-changed:
		case <-late.C:
			return s, nil
		case <-ctx.Done():
			return s, nil
		}
	}
}

// formatHave writes what parseHave reads: day=2026-11-23&have=ID:COUNT&have=…
func formatHave(h memory.Have) url.Values {
	q := url.Values{"day": {h.Day}}
	for id, n := range h.Parts {
		q.Add("have", id+":"+strconv.Itoa(n))
	}
	return q
}

var errHave = errors.New("not what a gate has")

func parseHave(q url.Values) (h memory.Have, err error) {
	h = memory.Have{Day: q.Get("day"), Parts: map[string]int{}}
	if _, err := time.Parse(time.DateOnly, h.Day); err != nil || len(q["have"]) > maxHave {
		return h, errHave
	}
	for _, part := range q["have"] {
		id, count, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || len(id) != 16 {
			return h, errHave
		}
		h.Parts[id] = n
	}
	return h, nil
}

// askOnce asks the peer for what is not known here, and takes it in.
func (f *follower) askOnce(ctx context.Context) error {
	url := f.peer.URL + PathVenue + "?" + formatHave(f.Memory.Have(f.Now())).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("what is remembered there: %s", res.Status)
	}
	s, err := parseShare(res.Body)
	if err != nil {
		return err
	}
	news, err := f.Memory.Take(s, f.Now())
	if err != nil {
		return err
	}
	if !news {
		return pause(ctx)
	}
	return nil
}

func parseShare(r io.Reader) (s memory.Share, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxVenue+1))
	if err != nil {
		return s, err
	}
	if len(raw) > maxVenue {
		return s, fmt.Errorf("an answer of over %d bytes", maxVenue)
	}
	if json.Unmarshal(raw, &s) != nil { // its error could quote a key
		return s, errors.New("not an answer of a gate")
	}
	return s, nil
}
