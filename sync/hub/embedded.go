package hub

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

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

// start runs a server of our own over the folder, which nobody else can reach.
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
