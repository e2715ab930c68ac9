package lan

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/cmd/internal/supervise"
	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/storage/memory"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const (
	pageLimit = 500
	pageWait  = 10 * time.Second // for news; who is away longer than this is noticed
	dialTime  = 5 * time.Second
	slack     = 30 * time.Second // for an answer, beyond what it may wait
)

// The parts of a follower.
const (
	follow = "follow"
	ask    = "ask"
)

const alarmEvery = time.Hour // over one peer's log

// errLog means that a peer's log is not what its device wrote one entry after the other.
var errLog = errors.New("its log does not hold")

// A follower reads one peer's log and asks for what that remembers.
//
// What it learns of passages stands in memory alone, so that after a restart today's are read again: what is kept on the
// disk is the place behind which today begins.
type follower struct {
	*LAN
	peer Peer
	http *http.Client

	// of follow alone
	client pull.Client
	cursor string // behind the last line that was taken
	mark   string // what is kept
	day    string // of the line taken last
	begun  bool   // whether a line of that day has come
	told   entry.Anchor

	mu       sync.Mutex
	problems map[string]string // by part, of those that do not work now
	seen     time.Time         // when the peer last answered
	alarmed  time.Time         // when its log last raised an alarm
}

func (l *LAN) newFollower(p Peer) *follower {
	f := &follower{LAN: l, peer: p, problems: map[string]string{}, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // only the peer itself is pinned
		Timeout:       max(pageWait, venueWait) + slack,
		Transport: &http.Transport{
			TLSClientConfig: clientTLS(l.cert, p), DialContext: (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSHandshakeTimeout: helloTime, ResponseHeaderTimeout: max(pageWait, venueWait) + dialTime, IdleConnTimeout: idleTime,
		},
	}}
	text, err := os.ReadFile(f.path())
	if _, bad := pull.ParseCursor(string(text)); err == nil && bad == nil { // else from the beginning
		f.cursor, f.mark = string(text), string(text)
	}
	f.anew()
	return f
}

// path is where the mark is kept.
func (f *follower) path() string { return filepath.Join(f.Dir, f.peer.id()+".cursor") }

// anew forgets where the peer's chain stood.
func (f *follower) anew() {
	f.client = pull.Client{HTTP: f.http, URL: f.peer.URL, Devices: map[string]ed25519.PublicKey{f.peer.id(): f.peer.Key}}
	f.told = entry.Anchor{}
}

// again does once again and again, with growing waits while it fails. It reports each time, and
// returns when ctx ends.
func (f *follower) again(ctx context.Context, part string, once func(context.Context) error) {
	wait := supervise.FirstWait
	for {
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		f.report(part, err)
		if err == nil {
			wait = supervise.FirstWait
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, supervise.LastWait)
	}
}

// pause keeps a peer that has no news from being asked without end.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(supervise.FirstWait):
	}
	return nil
}

// report notes how a part stands, and tells the guard; the log is told of changes alone.
func (f *follower) report(part string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, failed := f.problems[part]
	if err == nil {
		delete(f.problems, part)
		f.seen = f.Now()
	} else {
		f.problems[part] = reason(err)
	}
	if now, fails := f.problems[part]; fails != failed || now != before {
		f.Log.Info("peer", "name", f.peer.Name, "part", part, "ok", !fails, "why", now)
		if errors.Is(err, errLog) && (f.alarmed.IsZero() || time.Since(f.alarmed) > alarmEvery) {
			f.alarmed = time.Now() // a peer must not fill this gate's journal
			f.OnAlarm(f.peer.Name, now)
		}
	}
	f.OnPeer(f.peer.Name, f.seen, cmp.Or(f.problems[follow], f.problems[ask]))
}

// reason is err without the address that was asked, which says nothing and changes.
func reason(err error) string {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// page reads one page of the peer's log, for which it waits a while.
func (f *follower) page(ctx context.Context) error {
	var refused error // here, after the client took it
	next, n, err := f.client.Page(ctx, f.cursor, pageLimit, pageWait, func(l pull.Line) error { refused = f.take(l); return refused })
	if p := (wire.Problem{}); errors.As(err, &p) && p.Type == wire.ProblemCursor && p.Start != "" {
		f.Log.Info("a peer's log begins anew", "name", f.peer.Name)
		f.anew()
		f.cursor, f.begun = p.Start, false
		return nil
	}
	switch p := (wire.Problem{}); {
	case refused != nil:
		f.anew() // or the client would miss that line
		return refused
	case err != nil && ctx.Err() == nil && !errors.Is(err, pull.ErrReach) && !errors.As(err, &p):
		return fmt.Errorf("%w: %w", errLog, err)
	case err != nil:
		return err
	}
	f.cursor = next
	if f.turn(); !f.begun {
		err = f.keepMark()
	}
	if err == nil && n == 0 {
		err = pause(ctx)
	}
	return err
}

// turn notes that a day has begun here. Everything before is of another.
func (f *follower) turn() {
	if day := f.Memory.Date(f.Now()); day != f.day {
		f.day, f.begun = day, false
	}
}

// take takes in one line, of which the client has checked hash, chain and signature.
func (f *follower) take(l pull.Line) error {
	if l.Device != f.peer.id() {
		return fmt.Errorf("a line of device %q", l.Device)
	}
	e, err := entry.Parse(l.Entry)
	if err != nil {
		return err
	}
	if a, ok := entry.AnchorOf(e); ok {
		f.told = a
	}
	e.Wall, _ = f.told.Wall(e)
	if f.turn(); !f.begun && f.Memory.Date(e.Wall) >= f.day {
		if err := f.keepMark(); err != nil {
			return err
		}
		f.begun = true
	}
	f.tell(e)
	f.cursor = l.Cursor
	return nil
}

// tell tells the memory of a passage or that one is taken back.
func (f *follower) tell(e entry.Entry) {
	if p, err := entry.Decode[entry.Passage](e); err == nil && p.Verdict == entry.Admit && len(p.Tag) > 0 {
		f.Memory.Replay(memory.Passage{Gate: f.peer.id(), Seq: e.Seq, Tag: p.Tag, Direction: p.Direction, At: e.Wall})
	}
	if u, err := entry.Decode[entry.Undo](e); err == nil {
		f.Memory.Undo(f.peer.id(), u.Seq)
	}
}

// keepMark keeps the cursor as the place behind which today begins.
func (f *follower) keepMark() error {
	if f.cursor == f.mark {
		return nil
	}
	if err := durable.Write(f.path(), []byte(f.cursor), 0o600); err != nil {
		return fmt.Errorf("keep a cursor: %w", err)
	}
	f.mark = f.cursor
	return nil
}
