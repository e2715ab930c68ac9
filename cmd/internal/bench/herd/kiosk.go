package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const (
	batchSize = 7   // entries
	sealed    = 200 // bytes of an entry's sealed part; what stands in it means nothing to a hub
)

// errBusy means that the hub answered 503; it is the Retry-After.
type errBusy time.Duration

func (e errBusy) Error() string { return fmt.Sprintf("busy for %v", time.Duration(e)) }

// A kiosk is one gate that has been without a network: it holds one batch ready.
type kiosk struct {
	key    ed25519.PrivateKey
	id     string
	body   []byte // the batch, whose entries are 1 to batchSize
	client *http.Client
}

func newKiosk() (*kiosk, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var raws [][]byte
	for head := (entry.Head{}); len(raws) < batchSize; {
		raw, err := passage(head)
		if err != nil {
			return nil, err
		}
		if head, err = head.Follow(raw); err != nil {
			return nil, err
		}
		raws = append(raws, raw)
	}
	b, err := wire.Sign(key, raws)
	if err != nil {
		return nil, err
	}
	body, err := b.Marshal()
	return &kiosk{key: key, id: b.Device, body: body}, err
}

// passage makes the entry behind head.
func passage(head entry.Head) ([]byte, error) {
	noise := make([]byte, sealed)
	rand.Read(noise)
	d, err := entry.NewDraft(entry.Stamp{Wall: time.UnixMilli(1_600_000_000_000), Trust: entry.TrustClock}, entry.Passage{
		Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: noise[:16], Sealed: noise,
	})
	if err != nil {
		return nil, err
	}
	return entry.Entry{Kind: d.Kind, Seq: head.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: head.Hash, Body: d.Body}.Marshal()
}

// visit hands the batch to h as sync/uplink does: a contact, then the batch where the hub does not hold it yet. The
// connection stays open until leave, or until the hub ends it.
func (k *kiosk) visit(ctx context.Context, h *process) error {
	if k.client == nil {
		k.client = &http.Client{Transport: uplink.Transport(uplink.Options{CA: h.roots})}
	}
	nonce := make([]byte, wire.NonceSize)
	rand.Read(nonce)
	s, err := k.exchange(ctx, h, http.MethodGet, wire.PathDevice+k.id+"?nonce="+hex.EncodeToString(nonce), nil)
	if err == nil && s.Seq == 0 {
		s, err = k.exchange(ctx, h, http.MethodPost, wire.PathBatches, k.body)
	}
	if err != nil {
		return err
	}
	if s.Seq != batchSize || s.Receipt == nil || s.Receipt.Seq != s.Seq {
		return fmt.Errorf("hub stands at %d after entry %d was sent", s.Seq, batchSize)
	}
	return s.Receipt.Check(h.receipt, k.id)
}

// leave ends the connection.
func (k *kiosk) leave() {
	if k.client != nil {
		k.client.CloseIdleConnections()
		k.client = nil
	}
}

func (k *kiosk) exchange(ctx context.Context, h *process, method, path string, body []byte) (s wire.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, bytes.NewReader(body))
	if err != nil {
		return s, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return s, json.Unmarshal(answer, &s)
	case http.StatusServiceUnavailable:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return s, errBusy(time.Duration(max(1, after)) * time.Second)
	}
	return s, fmt.Errorf("hub answers %d: %s", resp.StatusCode, answer)
}

func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
