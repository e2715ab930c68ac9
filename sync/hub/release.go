package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"gatepost/sync/wire"
)

// Release stores durably that seals are about to be opened, and returns the record's place in the log. After an error
// nobody knows whether it is stored: whoever asked opens nothing, and a second record says too much rather than too little.
func (h *Hub) Release(ctx context.Context, r wire.Release) (place uint64, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	seq, err := h.store.Append(ctx, releaseSubject+strings.ToLower(rand.Text()), data, 0)
	if err != nil {
		return 0, fmt.Errorf("record a release: %w", err)
	}
	h.mu.Lock()
	h.stored(seq)
	h.mu.Unlock()
	h.opt.Log.Warn("seals are opened", "case", r.Case, "by", r.By, "entries", r.Entries(), "devices", len(r.Devices), "token", r.Token, "record", seq)
	return seq, nil
}

func readRelease(data []byte, to *wire.Record) error {
	to.Release = new(wire.Release)
	if err := json.Unmarshal(data, to.Release); err != nil {
		return fmt.Errorf("read release %d: %w", to.Seq, err)
	}
	return nil
}
