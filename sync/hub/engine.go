package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/sync/wire"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName = "GATEPOST"
	epochKey   = "gatepost-epoch"

	maxMessage = wire.MaxBatch + 64<<10 // a batch and its headers
	startTime  = 30 * time.Second       // for the engine to read its files
	tryTime    = 2 * time.Second        // for a cluster to answer while it forms
	storeTime  = 15 * time.Second       // for one flight to become durable, or for one answer
	otherTime  = 4 * time.Second        // the same in a cluster, which may lose a question with the server that had it
	replicas   = 3                      // of the log in a cluster
	backTime   = 250 * time.Millisecond // between attempts to reach a cluster again
)

// engine is the log: one JetStream stream, in a server of its own that listens on no port, or in a cluster that
// other hubs write to as well. It is a Store: a message that Append has returned is on the disk (SyncAlways; an external
// cluster must be configured so).
type engine struct {
	lock   *os.File       // of our own server, as is
	server *server.Server // this one; nil: an external cluster
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	epoch  string
	wait   time.Duration // storeTime or otherTime
	queue  queue

	mu   sync.Mutex      // guards seen
	seen map[string]bool // subjects that may have a message; nil where others write
}

// openEngine opens the log at the cluster urls, or where there are none below dir, or makes an empty one, whose
// epoch is then newEpoch.
func openEngine(ctx context.Context, urls, dir, newEpoch string, log *slog.Logger) (*engine, error) {
	e := &engine{queue: queue{turn: make(chan struct{}, 1), name: rand.Text()}}
	if err := e.open(ctx, urls, dir, newEpoch, log); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *engine) open(ctx context.Context, urls, dir, newEpoch string, log *slog.Logger) (err error) {
	if urls == "" {
		e.wait, err = storeTime, e.embed(dir, log)
	} else {
		e.wait, err = otherTime, e.connect(ctx, urls, log)
	}
	if err != nil {
		return err
	}
	if e.conn.MaxPayload() < maxMessage {
		return fmt.Errorf("the log takes messages of %d bytes at the most, batches need %d (max_payload)", e.conn.MaxPayload(), maxMessage)
	}
	if e.js, err = jetstream.New(e.conn, jetstream.WithPublishAsyncTimeout(e.wait)); err != nil {
		return fmt.Errorf("connect to the log: %w", err)
	}
	if err = e.openStream(ctx, newEpoch); err != nil {
		return fmt.Errorf("open the log's stream: %w", err)
	}
	if e.shared() {
		return nil
	}
	return e.recall(ctx)
}

// recall notes which subjects have a message. After an outage most devices are new, and none of them costs a question.
func (e *engine) recall(ctx context.Context) error {
	info, err := e.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return fmt.Errorf("read the log's subjects: %w", err)
	}
	e.seen = make(map[string]bool, len(info.State.Subjects))
	for s := range info.State.Subjects {
		e.seen[s] = true
	}
	return nil
}

// see notes that subject may have a message from now on.
func (e *engine) see(subject string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen != nil {
		e.seen[subject] = true
	}
}

// empty tells whether subject has no message for sure, which an engine that is closed does not know.
func (e *engine) empty(subject string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen != nil && subject != anySubject && !e.seen[subject] && !e.conn.IsClosed()
}

// embed runs the log in this process.
func (e *engine) embed(dir string, log *slog.Logger) (err error) {
	if e.lock, err = lockDir(dir); err != nil {
		return err
	}
	if err = e.start(dir, log); err != nil {
		return err
	}
	if e.conn, err = nats.Connect("", nats.InProcessServer(e.server), nats.MaxReconnects(-1)); err != nil {
		return fmt.Errorf("connect to the log: %w", err)
	}
	return nil
}

// connect reaches a cluster, and goes on with any of its servers when one is gone. After a power cut they may start later
// than the hub: it waits for the first one. Nothing is kept to be sent later: whoever stores hears of it at once.
func (e *engine) connect(ctx context.Context, urls string, log *slog.Logger) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for waits := false; ; waits = true {
		if err = e.dial(urls, log); err == nil {
			return nil
		}
		if !errors.Is(err, nats.ErrNoServers) {
			return fmt.Errorf("connect to the log: %w", err)
		}
		if !waits {
			log.Warn("the log's servers do not answer yet", "error", err)
		}
		select {
		case <-time.After(backTime):
		case <-ctx.Done():
			return fmt.Errorf("connect to the log: %w", err)
		}
	}
}

func (e *engine) dial(urls string, log *slog.Logger) (err error) {
	e.conn, err = nats.Connect(urls, nats.Name("gatehub"), nats.MaxReconnects(-1), nats.ReconnectWait(backTime), nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("log's server is gone", "error", err) }),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("log's server is back", "name", c.ConnectedServerName()) }))
	return err
}

// shared tells whether other hubs may write to the log.
func (e *engine) shared() bool { return e.server == nil }

// openStream waits for a cluster to agree on a leader, during which questions are lost and servers are missing.
func (e *engine) openStream(ctx context.Context, newEpoch string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if !e.shared() {
		return e.findStream(ctx, newEpoch)
	}
	for {
		try, cancel := context.WithTimeout(ctx, tryTime)
		err := e.findStream(try, newEpoch)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(backTime):
		case <-ctx.Done():
			return err
		}
	}
}

// findStream finds the stream or makes it. The stream never drops a message: when the disk is full it
// refuses new ones, and none can be deleted through it.
func (e *engine) findStream(ctx context.Context, newEpoch string) (err error) {
	e.stream, err = e.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		e.stream, err = e.js.CreateStream(ctx, e.config(newEpoch))
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another hub was quicker
		e.stream, err = e.js.Stream(ctx, streamName)
	}
	if err != nil {
		return err
	}
	// A hub of an earlier version stored batch by batch, or knew no releases.
	if c := e.stream.CachedInfo().Config; !c.AllowAtomicPublish || !slices.Equal(c.Subjects, subjects()) {
		c.AllowAtomicPublish, c.Subjects = true, subjects()
		if e.stream, err = e.js.UpdateStream(ctx, c); err != nil {
			return err
		}
	}
	if e.epoch = e.stream.CachedInfo().Config.Metadata[epochKey]; e.epoch == "" {
		return errors.New("it carries no epoch")
	}
	return nil
}

// subjects are what the log takes.
func subjects() []string {
	return []string{batchSubject + "*", alarmSubject + "*", releaseSubject + "*"}
}

// config is that of a new log. In a cluster its leader answers every question (no AllowDirect): another server
// may not know yet what was stored last.
func (e *engine) config(epoch string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: streamName, Subjects: subjects(),
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgSize: maxMessage, DenyDelete: true, DenyPurge: true, AllowAtomicPublish: true,
		Replicas: 1, AllowDirect: true, Metadata: map[string]string{epochKey: epoch},
	}
	if e.conn.ConnectedClusterName() != "" {
		c.Replicas, c.AllowDirect = replicas, false
	}
	return c
}

// Last implements Store.
func (e *engine) Last(ctx context.Context, subject string) (Message, error) {
	if e.empty(subject) {
		return Message{}, ErrEmpty
	}
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	return message(e.stream.GetLastMsgForSubject(ctx, subject))
}

// First implements Store.
func (e *engine) First(ctx context.Context, place uint64, subject string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	return message(e.stream.GetMsg(ctx, place, jetstream.WithGetMsgSubject(subject)))
}

func message(m *jetstream.RawStreamMsg, err error) (Message, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, ErrEmpty
	}
	if err != nil {
		return Message{}, err
	}
	return Message{m.Sequence, m.Subject, m.Time, m.Data}, nil
}

// follow calls note for each message that stands behind the place after, whoever stored it, until ctx ends.
func (e *engine) follow(ctx context.Context, after uint64, note func(subject string, seq uint64)) error {
	c, err := e.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	f, err := c.Consume(func(m jetstream.Msg) {
		if at, err := m.Metadata(); err == nil {
			note(m.Subject(), at.Sequence.Stream)
		}
	})
	if err != nil {
		return err
	}
	defer f.Stop()
	select {
	case <-ctx.Done():
	case <-f.Closed():
	}
	return ctx.Err()
}

func (e *engine) close() {
	if e.conn != nil {
		e.conn.Close()
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	if e.lock != nil {
		e.lock.Close()
	}
}

// deviceOf returns the device of a batch's subject; ok is false for another subject.
func deviceOf(subject string) (device string, ok bool) {
	return strings.CutPrefix(subject, batchSubject)
}
