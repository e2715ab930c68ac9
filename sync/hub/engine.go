package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"gatepost/sync/wire"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

const (
	streamName   = "GATEPOST"
	batchSubject = "log."   // + device: a batch's own bytes
	alarmSubject = "alarm." // + device: the JSON of a wire.Alarm
	epochKey     = "gatepost-epoch"

	maxMessage = wire.MaxBatch + 64<<10 // a batch and its headers
	startTime  = 30 * time.Second       // for the engine to read its files
	storeTime  = 15 * time.Second       // for one message to become durable
)

// errEmpty means that a subject has no message.
var errEmpty = errors.New("nothing stored")

// engine is the log: one JetStream stream in a server that listens on no port. A message that append
// has returned is on the disk (SyncAlways).
type engine struct {
	lock   *os.File
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	epoch  string
}

// openEngine opens the log below dir or makes an empty one, whose epoch is then newEpoch.
func openEngine(ctx context.Context, dir, newEpoch string, log *slog.Logger) (*engine, error) {
	e := &engine{}
	if err := e.open(ctx, dir, newEpoch, log); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *engine) open(ctx context.Context, dir, newEpoch string, log *slog.Logger) (err error) {
	if e.lock, err = lockDir(dir); err != nil {
		return err
	}
	if err = e.start(dir, log); err != nil {
		return err
	}
	if e.conn, err = nats.Connect("", nats.InProcessServer(e.server), nats.MaxReconnects(-1)); err != nil {
		return fmt.Errorf("connect to the log: %w", err)
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		return fmt.Errorf("connect to the log: %w", err)
	}
	if err = e.openStream(ctx, newEpoch); err != nil {
		return fmt.Errorf("open the log's stream: %w", err)
	}
	return nil
}

// lockDir keeps a second hub out of the folder: JetStream itself would let it in.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the log: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the log: another hub uses %s: %w", dir, err)
	}
	return f, nil
}

func (e *engine) start(dir string, log *slog.Logger) error {
	s, err := server.NewServer(&server.Options{
		ServerName: "gatehub", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: maxMessage,
	})
	if err != nil {
		return fmt.Errorf("make the log's engine: %w", err)
	}
	e.server = s
	out := &engineLog{log: log}
	s.SetLoggerV2(out, false, false, false)
	go s.Start() // ends by itself: it listens on nothing; close shuts the server down
	if !s.ReadyForConnections(startTime) || !s.JetStreamEnabled() {
		return fmt.Errorf("start the log's engine: %s", out.reason())
	}
	return nil
}

// openStream finds the stream or makes it. The stream never drops a message: when the disk is full it
// refuses new ones, and none can be deleted through it.
func (e *engine) openStream(ctx context.Context, newEpoch string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	e.stream, err = e.js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		e.stream, err = e.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamName, Subjects: []string{batchSubject + "*", alarmSubject + "*"},
			Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxMsgSize: maxMessage, DenyDelete: true, DenyPurge: true, AllowDirect: true,
			Metadata: map[string]string{epochKey: newEpoch},
		})
	}
	if err != nil {
		return err
	}
	if e.epoch = e.stream.CachedInfo().Config.Metadata[epochKey]; e.epoch == "" {
		return errors.New("it carries no epoch")
	}
	return nil
}

// append stores a message durably and returns its place, or an error when it is not stored or nobody
// knows. It is not stored unless prev is the place of the subject's last message (0: none).
func (e *engine) append(ctx context.Context, subject string, data []byte, prev uint64) (uint64, error) {
	// The caller may go away; whether the message was stored must be known all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	ack, err := e.js.Publish(ctx, subject, data, jetstream.WithExpectLastSequencePerSubject(prev))
	if err != nil {
		return 0, fmt.Errorf("store a message: %w", err)
	}
	return ack.Sequence, nil
}

// last returns the newest message of a subject, or errEmpty.
func (e *engine) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	m, err := e.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, errEmpty
	}
	return m, err
}

// at returns the first message at or after seq whose subject fits filter, or errEmpty.
func (e *engine) at(ctx context.Context, seq uint64, filter string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	m, err := e.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, errEmpty
	}
	return m, err
}

// state returns the place of the newest message and the subjects that fit filter.
func (e *engine) state(ctx context.Context, filter string) (last uint64, subjects []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	info, err := e.stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, nil, err
	}
	for s := range info.State.Subjects {
		subjects = append(subjects, s)
	}
	return info.State.LastSeq, subjects, nil
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

// engineLog hands the engine's own words on and keeps the last complaint for Open's error.
type engineLog struct {
	log  *slog.Logger
	last atomic.Pointer[string]
}

func (l *engineLog) reason() string {
	if s := l.last.Load(); s != nil {
		return *s
	}
	return "not ready in time"
}

func (l *engineLog) complain(level slog.Level, format string, v []any) {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	l.last.Store(&text)
	l.log.Log(context.Background(), level, "log engine", "text", text)
}

func (l *engineLog) Noticef(format string, v ...any) {
	l.log.Debug("log engine", "text", fmt.Sprintf(format, v...))
}
func (l *engineLog) Warnf(format string, v ...any)  { l.complain(slog.LevelWarn, format, v) }
func (l *engineLog) Errorf(format string, v ...any) { l.complain(slog.LevelError, format, v) }
func (l *engineLog) Fatalf(format string, v ...any) { l.complain(slog.LevelError, format, v) }
func (l *engineLog) Debugf(string, ...any)          {}
func (l *engineLog) Tracef(string, ...any)          {}
