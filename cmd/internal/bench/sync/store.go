package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"gatepost/sync/hub"
	"gatepost/sync/wire"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The stores that one and the same hub is measured over.
const (
	forgetting = "forgets"
	grouped    = "JetStream"
	postgres   = "PostgreSQL"
	single     = "NATS an entry"
)

var stores = []struct{ name, about string }{
	{forgetting, "nothing is kept: what TLS, the protocol and the checks alone cost; the unit"},
	{grouped, "the hub as it ships: JetStream in its own process, batches that wait together stored together"},
	{postgres, "PostgreSQL 15, synchronous_commit on, batches that wait together in one transaction: COPY, and the heads compared and moved"},
	{single, "JetStream in the hub's process, SyncAlways, every entry a message of its own; of the load only a part, as the table says"},
}

// open opens a hub over the store in dir. count tells how many entries it has taken.
func open(ctx context.Context, store, dir string, o hub.Options) (h *hub.Hub, count func(context.Context) (int, error), closing func(), err error) {
	count = func(ctx context.Context) (int, error) { return entries(ctx, h) }
	closing = func() {}
	switch store {
	case grouped:
		o.Dir = dir
		if h, err = hub.Open(ctx, o); err != nil {
			return nil, nil, nil, err
		}
		return h, count, h.Close, nil
	case forgetting:
		s := &forget{}
		count = s.count
		h, err = hub.New(ctx, s, "forgets", false, o)
	case postgres:
		var s *database
		if s, err = openDatabase(ctx, os.Getenv(databaseVariable)); err == nil {
			closing = s.close
			h, err = hub.New(ctx, s, "postgres", false, o)
		}
	case single:
		var s *entryByEntry
		if s, err = openEntryByEntry(ctx, dir); err == nil {
			count, closing = s.count, s.close
			h, err = hub.New(ctx, s, "entries", false, o)
		}
	default:
		err = fmt.Errorf("no store %q", store)
	}
	return h, count, closing, err
}

// forget takes everything and keeps nothing but two counts.
type forget struct{ place, entries atomic.Int64 }

func (f *forget) Append(_ context.Context, _ string, data []byte, _ uint64) (uint64, error) {
	f.entries.Add(int64(entriesIn(data)))
	return uint64(f.place.Add(1)), nil
}

func (f *forget) First(context.Context, uint64, string) (hub.Message, error) {
	return hub.Message{}, hub.ErrEmpty
}

func (f *forget) Last(context.Context, string) (hub.Message, error) {
	return hub.Message{}, hub.ErrEmpty
}

func (f *forget) count(context.Context) (int, error) { return int(f.entries.Load()), nil }

// entriesIn reads how many entries a batch has from the head of its array, which stands behind version and device.
func entriesIn(batch []byte) int {
	const device = 1 + 1 + 1 + 16 // array of four, version 1, text of 16 bytes and its length
	switch at := batch[device:]; at[0] {
	case 0x98:
		return int(at[1])
	case 0x99:
		return int(at[1])<<8 | int(at[2])
	default:
		return int(at[0] & 0x1f)
	}
}

// entryByEntry stores each entry of a batch as a message of its own, as kiosks that speak NATS themselves would.
type entryByEntry struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

const publishTime = time.Minute // for one batch

func openEntryByEntry(ctx context.Context, dir string) (*entryByEntry, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: 2 << 20,
	})
	if err != nil {
		return nil, err
	}
	e := &entryByEntry{server: s}
	go s.Start() // ends with close
	if !s.ReadyForConnections(30 * time.Second) {
		return nil, fmt.Errorf("NATS server in %s does not start", dir)
	}
	if e.conn, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		return nil, err
	}
	if e.js, err = jetstream.New(e.conn, jetstream.WithPublishAsyncMaxPending(1<<20)); err != nil {
		return nil, err
	}
	e.stream, err = e.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ENTRIES", Subjects: []string{"log.*", "alarm.*"}, Storage: jetstream.FileStorage})
	return e, err
}

// Append implements hub.Store; the place is that of the batch's last entry.
func (e *entryByEntry) Append(ctx context.Context, subject string, data []byte, prev uint64) (uint64, error) {
	b, err := wire.Parse(data)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, len(b.Entries))
	for i, raw := range b.Entries {
		m := nats.NewMsg(subject)
		if m.Data = raw; i == 0 { // the others stand behind it: the hub sends one batch of a device at a time
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(prev, 10))
		}
		if acks[i], err = e.js.PublishMsgAsync(m); err != nil {
			return 0, err
		}
	}
	var place uint64
	for _, a := range acks {
		select {
		case ack := <-a.Ok():
			place = ack.Sequence
		case err := <-a.Err():
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return place, nil
}

// First and Last find nothing: single entries prove themselves to nobody, and the bench begins with an empty log.
func (e *entryByEntry) First(context.Context, uint64, string) (hub.Message, error) {
	return hub.Message{}, hub.ErrEmpty
}

func (e *entryByEntry) Last(context.Context, string) (hub.Message, error) {
	return hub.Message{}, hub.ErrEmpty
}

func (e *entryByEntry) count(ctx context.Context) (int, error) {
	info, err := e.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return int(info.State.Msgs), nil
}

func (e *entryByEntry) close() {
	e.conn.Close()
	e.server.Shutdown()
	e.server.WaitForShutdown()
}
