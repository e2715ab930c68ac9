package hub

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxShakes  = 256              // handshakes under way at once; most of them wait for the peer's next flight
	shakeTime  = 20 * time.Second // for one handshake
	maxQueued  = 20 * time.Second // a socket that waited longer is reset: its kiosk soon gives up by itself
	minIdle    = 2 * time.Second  // a connection that has been idle for less is in the midst of a visit
	acceptWait = 50 * time.Millisecond
)

// DoorOptions bound what a Door lets in. Bounds of 0 take the defaults, and all shrink with the process's limit of
// open files.
type DoorOptions struct {
	TLS   *tls.Config
	Slots int // handshakes that compute at once, 0 = twice the CPUs
	Queue int // sockets that wait for a handshake, 0 = 8,192
	Conns int // connections in all, behind the queue, 0 = 8,192
	Pace  *Pace
	Now   func() time.Time
	Log   *slog.Logger
}

// A Door is a listener that lets TLS connections in no faster than the hub can shake hands with them. It hands out
// only connections whose handshake is done.
//
// At most Slots handshakes compute at a time, so that those who are in already are served first; a peer on a slow
// line holds no slot while the hub waits for it. Queue sockets wait in the order in which they came. A socket beyond
// that is reset before any cryptography, at the cost of an accept and a close, and its kiosk comes again after a long
// random time. Where Conns connections are open, the one that has been idle longest gives way to the next handshake;
// its peer notices at its next request and connects again.
//
// It does not promise each address a fair share: whole venues stand behind one address.
type Door struct {
	opt    DoorOptions
	inner  net.Listener
	queue  chan arrival
	slots  chan struct{} // holds a token for each handshake that computes
	ready  chan net.Conn
	ctx    context.Context // ends with Close, and with an error of the listener
	end    context.CancelCauseFunc
	owned  sync.WaitGroup // the goroutines that accept and shake hands
	closed sync.Once

	mu     sync.Mutex // guards what follows
	open   int        // connections from the handshake on
	turned int        // sockets reset since the queue was last empty
	idle   *list.List // of *conn, the one that is idle longest in front
}

// arrival is a socket that waits for its handshake.
type arrival struct {
	net.Conn
	at time.Time
}

// NewDoor opens a door before l. Give its ConnState to the http.Server that serves it. Close ends it, and l.
func NewDoor(l net.Listener, o DoorOptions) *Door {
	files := unix.Rlimit{Cur: 1024}
	unix.Getrlimit(unix.RLIMIT_NOFILE, &files) // an error leaves the usual limit
	o.Slots = bound(o.Slots, 2*runtime.GOMAXPROCS(0), files.Cur)
	o.Queue = bound(o.Queue, 8192, files.Cur/4)
	o.Conns = bound(o.Conns, 8192, files.Cur/2)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Door{
		opt: o, inner: l, queue: make(chan arrival, o.Queue), slots: make(chan struct{}, o.Slots),
		ready: make(chan net.Conn), idle: list.New(),
	}
	d.ctx, d.end = context.WithCancelCause(context.Background())
	d.owned.Go(d.listen)
	for range maxShakes {
		d.owned.Go(d.work)
	}
	return d
}

// bound returns want, or what stands in for it, within what the open files allow.
func bound(want, other int, files uint64) int {
	if want <= 0 {
		want = other
	}
	return max(1, int(min(uint64(want), files)))
}

// Accept returns the next connection whose handshake is done, a *tls.Conn.
func (d *Door) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.ctx.Done():
		return nil, context.Cause(d.ctx)
	}
}

// Addr returns the listener's address.
func (d *Door) Addr() net.Addr { return d.inner.Addr() }

// Close ends the listener and resets whoever still waits before the door. Connections that are in stay open.
func (d *Door) Close() (err error) {
	d.closed.Do(func() {
		d.end(net.ErrClosed)
		err = d.inner.Close()
		d.owned.Wait()
		for len(d.queue) > 0 {
			reset((<-d.queue).Conn)
		}
	})
	return err
}

// listen takes sockets from the kernel as fast as they come, until Close.
func (d *Door) listen() {
	for {
		c, err := d.inner.Accept()
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
			d.opt.Log.Warn("no room for more connections", "error", err)
			d.pause()
			continue
		}
		if err != nil {
			d.end(err)
			return
		}
		select {
		case d.queue <- arrival{c, d.opt.Now()}:
		default:
			d.turn(c)
		}
	}
}

// pause lets connections end.
func (d *Door) pause() {
	select {
	case <-time.After(acceptWait):
	case <-d.ctx.Done():
	}
}

// turn sends a socket away, and says so once.
func (d *Door) turn(c net.Conn) {
	reset(c)
	d.mu.Lock()
	d.turned++
	first := d.turned == 1
	d.mu.Unlock()
	if first {
		d.opt.Log.Warn("too many gates come at once, some are sent away for a while", "waiting", len(d.queue))
	}
}

// reset closes a socket so that its peer sees a reset, and no state of it stays in the kernel.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// work shakes hands with one peer after the other, until Close.
func (d *Door) work() {
	for {
		select {
		case a := <-d.queue:
			if c := d.shake(a); c != nil {
				d.hand(c)
			}
		case <-d.ctx.Done():
			return
		}
	}
}

// shake returns nil when the socket came to nothing.
func (d *Door) shake(a arrival) *tls.Conn {
	if d.opt.Now().Sub(a.at) > maxQueued || !d.enter() {
		d.turn(a.Conn)
		return nil
	}
	ctx, cancel := context.WithTimeout(d.ctx, shakeTime)
	defer cancel()
	c := &conn{Conn: a.Conn, door: d, shaking: true}
	secure := tls.Server(c, d.opt.TLS)
	err := secure.HandshakeContext(ctx)
	c.rest()
	c.shaking = false // it may have ended before our flight
	left := len(d.queue)
	d.opt.Pace.shaken(left)
	if left == 0 {
		d.calm()
	}
	if err != nil {
		d.opt.Log.Debug("no handshake", "error", err)
		c.Close()
		return nil
	}
	return secure
}

// hand gives a connection to Accept.
func (d *Door) hand(c *tls.Conn) {
	select {
	case d.ready <- c:
	case <-d.ctx.Done():
		c.NetConn().Close()
	}
}

// calm notes that nobody waits any longer.
func (d *Door) calm() {
	d.mu.Lock()
	turned := d.turned
	d.turned = 0
	d.mu.Unlock()
	if turned > 0 {
		d.opt.Log.Info("no gate waits any longer", "sent away", turned)
	}
}

// enter takes a place among the connections, at the cost of an idle one if need be. False: all are at
// work.
func (d *Door) enter() bool {
	for {
		d.mu.Lock()
		if d.open < d.opt.Conns {
			d.open++
			d.mu.Unlock()
			return true
		}
		oldest := d.oldest()
		d.mu.Unlock()
		if oldest == nil {
			return false
		}
		oldest.Close()
	}
}

// oldest takes the connection that has been idle longest out of the list, if one is there that can give way. d.mu is
// held.
func (d *Door) oldest() *conn {
	front := d.idle.Front()
	if front == nil || d.opt.Now().Sub(front.Value.(*conn).since) < minIdle {
		return nil
	}
	return d.idle.Remove(front).(*conn)
}

// ConnState learns from an http.Server which connections are idle.
func (d *Door) ConnState(c net.Conn, s http.ConnState) {
	secure, ok := c.(*tls.Conn)
	if !ok {
		return
	}
	own, ok := secure.NetConn().(*conn)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if own.place != nil {
		d.idle.Remove(own.place) // nothing when it has given way already
		own.place = nil
	}
	if s == http.StateIdle {
		own.place, own.since = d.idle.PushBack(own), d.opt.Now()
	}
}

// conn is a socket from its handshake on. It holds one of the door's slots while its handshake computes, but not while
// it waits for the peer, nor once our flight is out: what follows costs next to nothing and must not stand in line.
type conn struct {
	net.Conn
	door    *Door
	once    sync.Once
	place   *list.Element // in door.idle; guarded by door.mu, as is since
	since   time.Time     // idle
	shaking bool          // ours alone until Accept has handed it out, false from then on
	holds   bool
}

func (c *conn) Read(b []byte) (int, error) {
	if !c.shaking {
		return c.Conn.Read(b)
	}
	c.rest()
	n, err := c.Conn.Read(b)
	c.door.slots <- struct{}{}
	c.holds = true
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.shaking {
		c.rest()
		c.shaking = false
	}
	return c.Conn.Write(b)
}

// rest gives the slot back.
func (c *conn) rest() {
	if c.holds {
		<-c.door.slots
		c.holds = false
	}
}

// Close ends the connection without another word to the peer.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.door.mu.Lock()
		c.door.open--
		c.door.mu.Unlock()
	})
	return c.Conn.Close()
}
