package hub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// maxRange bounds the bytes of the answer to one question for several messages; its last message reaches it.
const maxRange = 8 << 20

// A ranger is a Store that returns several messages for one question: up to max from place on, in order, and at least one.
// Without such a message its error is ErrEmpty.
type ranger interface {
	Range(ctx context.Context, place uint64, max int) ([]Message, error)
}

// from returns messages from place on, at least one and at most max.
func (h *Hub) from(ctx context.Context, place uint64, max int) ([]Message, error) {
	if r, ok := h.store.(ranger); ok {
		return r.Range(ctx, place, max)
	}
	m, err := h.store.First(ctx, place, anySubject)
	return []Message{m}, err
}

// Range implements ranger. A cluster's leader answers for one message at a time (see config).
func (e *engine) Range(ctx context.Context, place uint64, max int) (all []Message, err error) {
	if e.shared() {
		m, err := e.First(ctx, place, anySubject)
		return []Message{m}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	inbox := e.conn.NewInbox()
	answers, err := e.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer answers.Unsubscribe()
	question := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, place, max, maxRange) // NATS ADR-31
	if err := e.conn.PublishRequest("$JS.API.DIRECT.GET."+streamName, inbox, question); err != nil {
		return nil, err
	}
	for {
		answer, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		switch status := answer.Header.Get("Status"); {
		case status == "" && len(all) < max:
			m, err := direct(answer)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		case status == "204" && len(all) > 0: // the end
			return all, nil
		case status == "404" && len(all) == 0:
			return nil, ErrEmpty
		default:
			return nil, fmt.Errorf("log's engine answers %q after %d messages", status, len(all))
		}
	}
}

// direct reads a message in the engine's direct answer, whose place stands in its headers.
func direct(answer *nats.Msg) (Message, error) {
	h := answer.Header
	place, err1 := strconv.ParseUint(h.Get(nats.JSSequence), 10, 64)
	at, err2 := time.Parse(time.RFC3339Nano, h.Get(nats.JSTimeStamp))
	if err := errors.Join(err1, err2); err != nil {
		return Message{}, fmt.Errorf("read the engine's answer: %w", err)
	}
	return Message{place, h.Get(nats.JSSubject), at, answer.Data}, nil
}
