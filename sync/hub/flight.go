package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxFlight      = 256     // messages
	maxFlightBytes = 8 << 20 // reached by its last message; the engine holds a flight in memory or in a file
	minTogether    = 16      // messages from which a flight as one transaction is the quicker way

	gatherStep  = 2 * time.Millisecond // without another message ends the wait for a flight to fill
	gatherSteps = 10                   // at the most
)

// Headers of a transaction of several messages, of which each is still stored on its own. The client has no names for them.
// Source: NATS ADR-50.
const (
	flightName   = "Nats-Batch-Id"
	flightSeq    = "Nats-Batch-Sequence"
	flightCommit = "Nats-Batch-Commit"
)

// A pending message waits for its flight.
type pending struct {
	msg  *nats.Msg
	at   uint64
	err  error
	done chan struct{} // closed when at or err is set
}

// A queue is who waits for a flight.
type queue struct {
	turn  chan struct{} // holds one token while somebody leads; guards count and crowd
	name  string        // tells our flights from those of others
	count int
	crowd bool // the last flight was a transaction

	mu      sync.Mutex // guards waiting
	waiting []*pending
}

func (q *queue) push(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
}

// take takes those who have waited longest out of the queue.
func (q *queue) take() []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < min(len(q.waiting), maxFlight) && size < maxFlightBytes {
		size += len(q.waiting[n].msg.Data)
		n++
	}
	flight := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return flight
}

// withdraw takes p out of the queue, unless it is under way already.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// Append implements Store. Callers that wait at the same time share a flight, and of one subject only one may wait. The context
// ends the waiting for a turn; once the message is under way, Append waits for its result.
func (e *engine) Append(ctx context.Context, subject string, data []byte, prev uint64) (uint64, error) {
	p := &pending{msg: nats.NewMsg(subject), done: make(chan struct{})}
	p.msg.Data = data
	p.msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(prev, 10))
	e.see(subject) // even if nobody will know whether it was stored
	e.queue.push(p)
	select {
	case e.queue.turn <- struct{}{}:
		e.lead(p)
	case <-p.done:
	case <-ctx.Done():
		if e.queue.withdraw(p) {
			return 0, ctx.Err()
		}
		<-p.done
	}
	if p.err == nil && p.at == 0 {
		p.err = errors.New("its leader failed")
	}
	if p.err != nil {
		return 0, fmt.Errorf("store a message: %w", p.err)
	}
	return p.at, nil
}

// lead stores flights of those who wait until p is through, and hands the turn on.
func (e *engine) lead(p *pending) {
	defer func() { <-e.queue.turn }()
	for {
		select {
		case <-p.done:
			return
		default:
			if e.queue.crowd {
				e.queue.gather()
			}
			flight := e.queue.take()
			e.queue.crowd = len(flight) >= minTogether
			e.fly(flight)
		}
	}
}

// gather waits while more come: in a crowd, a transaction's own cost is best shared by many.
func (q *queue) gather() {
	tick := time.NewTicker(gatherStep)
	defer tick.Stop()
	for range gatherSteps {
		before := q.length()
		if before >= maxFlight {
			return
		}
		<-tick.C
		if q.length() == before {
			return
		}
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// fly stores a flight and tells each of it. Its time is its own: a caller may go away, and whether its message was
// stored must be known all the same.
func (e *engine) fly(flight []*pending) {
	ctx, cancel := context.WithTimeout(context.Background(), e.wait)
	defer cancel()
	defer func() {
		for _, p := range flight {
			close(p.done)
		}
	}()
	if len(flight) < minTogether {
		e.each(ctx, flight)
	} else {
		e.together(ctx, flight)
	}
}

// each stores every message by itself.
func (e *engine) each(ctx context.Context, flight []*pending) {
	acks := make([]jetstream.PubAckFuture, len(flight))
	for i, p := range flight {
		acks[i], p.err = e.js.PublishMsgAsync(p.msg)
	}
	for i, p := range flight {
		if p.err != nil {
			continue
		}
		select {
		case ack := <-acks[i].Ok():
			p.at = ack.Sequence
		case p.err = <-acks[i].Err():
		case <-ctx.Done():
			p.err = ctx.Err()
		}
	}
}

// together stores all messages or none, which costs a few syncs however many they are. Where none is stored, for one
// of them does not fit, all are told so: each then reads where it stands, and comes again.
func (e *engine) together(ctx context.Context, flight []*pending) {
	last, err := e.transact(ctx, flight)
	for i, p := range flight {
		if p.err = err; err == nil {
			p.at = last - uint64(len(flight)-1-i)
		}
	}
}

// transact returns the place of the last message; the others stand right before it.
func (e *engine) transact(ctx context.Context, flight []*pending) (last uint64, err error) {
	e.queue.count++
	name := fmt.Sprintf("%s.%d", e.queue.name, e.queue.count)
	for i, p := range flight {
		p.msg.Header.Set(flightName, name)
		p.msg.Header.Set(flightSeq, strconv.Itoa(i+1))
		if i == len(flight)-1 {
			break
		}
		if err := e.conn.PublishMsg(p.msg); err != nil {
			return 0, err
		}
	}
	end := flight[len(flight)-1].msg
	end.Header.Set(flightCommit, "1")
	reply, err := e.conn.RequestMsgWithContext(ctx, end)
	if err != nil {
		return 0, err
	}
	return landed(reply.Data, len(flight))
}

// landed reads the answer to a transaction of n messages.
func landed(reply []byte, n int) (last uint64, err error) {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(reply, &ack); err != nil {
		return 0, fmt.Errorf("read the engine's answer: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Count != n || ack.Seq < uint64(n) {
		return 0, errors.New("the engine's answer is for other messages")
	}
	return ack.Seq, nil
}
