package main

import (
	"io"
	"net"
	"sync"
)

// A cut says where a connection breaks: behind so many bytes of one direction, with a reset or an orderly end.
type cut struct {
	up    bool // from the gate to the hub
	after int64
	reset bool
}

// A cable carries TCP between a gate and its hub. A cut that is set breaks the next connection, and then the cable is dark: those
// that come behind it wait until mend is called.
type cable struct {
	listener net.Listener
	to       string
	carrying sync.WaitGroup

	mu     sync.Mutex // guards what follows
	next   *cut
	broken chan struct{} // closed when the cut has happened
	lit    chan struct{} // closed while the wire is not dark
	open   map[*net.TCPConn]bool
}

func newCable(to string) (*cable, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &cable{listener: l, to: to, open: map[*net.TCPConn]bool{}, lit: make(chan struct{})}
	close(k.lit)
	k.carrying.Go(k.accept)
	return k, nil
}

// set lets the next connection break. The channel that it returns is closed when it has.
func (k *cable) set(c cut) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next, k.broken = &c, make(chan struct{})
	return k.broken
}

// mend ends the dark, and takes back a cut that has not happened.
func (k *cable) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = nil
	if !k.isLit() {
		close(k.lit)
	}
}

// isLit needs mu.
func (k *cable) isLit() bool {
	select {
	case <-k.lit:
		return true
	default:
		return false
	}
}

// idle reports whether no connection is open.
func (k *cable) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.open) == 0
}

// drop mends the cable and ends all connections.
func (k *cable) drop() {
	k.mend()
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.open {
		c.Close()
	}
}

// close ends the cable.
func (k *cable) close() {
	k.listener.Close()
	k.drop()
	k.carrying.Wait()
}

func (k *cable) accept() {
	for {
		near, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.carrying.Go(func() { k.carry(near.(*net.TCPConn)) })
	}
}

func (k *cable) carry(near *net.TCPConn) {
	defer k.leave(near)
	c := k.enter(near)
	far, err := net.Dial("tcp", k.to)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { k.copy(far.(*net.TCPConn), near, c, true) })
	both.Go(func() { k.copy(near, far.(*net.TCPConn), c, false) })
	both.Wait()
}

// enter waits while the cable is dark, and returns the cut that this connection meets, nil for none.
func (k *cable) enter(near *net.TCPConn) *cut {
	k.mu.Lock()
	k.open[near] = true
	lit := k.lit
	k.mu.Unlock()
	<-lit
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.next
	k.next = nil
	return c
}

func (k *cable) leave(near *net.TCPConn) {
	near.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, near)
}

// copy carries one direction until it ends or breaks; with it ends the connection. Errors are such ends.
func (k *cable) copy(to, from *net.TCPConn, c *cut, up bool) {
	defer to.Close()
	defer from.Close()
	if c == nil || c.up != up {
		io.Copy(to, from)
		return
	}
	if n, _ := io.CopyN(to, from, c.after); n < c.after {
		return
	}
	if c.reset {
		to.SetLinger(0)
		from.SetLinger(0)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lit = make(chan struct{})
	close(k.broken)
}
