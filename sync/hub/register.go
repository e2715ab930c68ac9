package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	registerName = "GATEPOST_CLAIMS"
	maxValue     = 4 << 10
)

// A Register is what the hubs of one cluster keep in common beside the log: a value of each name, which is whoever's that
// came first and never changes. It is as durable as the log.
type Register struct {
	kv     jetstream.KeyValue
	engine *engine
}

// Register opens the cluster's register, or returns nil where no other hub writes to the log.
func (h *Hub) Register(ctx context.Context) (*Register, error) {
	e, ok := h.store.(*engine)
	if !ok || !e.shared() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	c := jetstream.KeyValueConfig{Bucket: registerName, MaxValueSize: maxValue, Storage: jetstream.FileStorage, Replicas: e.config("").Replicas}
	kv, err := e.js.CreateOrUpdateKeyValue(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the register: %w", err)
	}
	return &Register{kv, e}, nil
}

// First returns the value of name, durable: value, where nobody was quicker. After an error nobody knows whether value is
// it now: ask again.
func (r *Register) First(ctx context.Context, name string, value []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.engine.wait)
	defer cancel()
	_, err := r.kv.Create(ctx, name, value)
	if err == nil {
		return value, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	first, err := r.kv.Get(ctx, name)
	if err != nil { // a server that does not know of it yet
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	return first.Value(), nil
}

// Follow calls note with each value, those that are there first, until ctx ends, the cluster is gone, or note fails.
func (r *Register) Follow(ctx context.Context, note func(value []byte) error) error {
	w, err := r.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("follow the register: %w", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v, open := <-w.Updates():
			if !open {
				return errors.New("follow the register: it has ended")
			}
			if v == nil { // the end of what was there
				continue
			}
			if err := note(v.Value()); err != nil {
				return fmt.Errorf("follow the register: %w", err)
			}
		}
	}
}
