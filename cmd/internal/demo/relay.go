package demo

import (
	"io"
	"net"
	"os"
	"sync"
)

// maxCapture is how many bytes of the wire are kept for the search at the end.
const maxCapture = 64 << 20

// A relay is the wire between the kiosk and the hub. It can be cut, and it keeps what went over it.
type relay struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	cut     bool
	open    map[net.Conn]bool
	capture *os.File
	kept    int64
	done    sync.WaitGroup
}

func newRelay(listen, to, capture string) (*relay, error) {
	f, err := os.Create(capture)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		f.Close()
		return nil, err
	}
	r := &relay{listener: l, to: to, open: map[net.Conn]bool{}, capture: f}
	r.done.Go(r.accept)
	return r, nil
}

// Close cuts the wire for good and waits until nothing moves on it.
func (r *relay) Close() {
	r.listener.Close()
	r.setCut(true)
	r.done.Wait()
	r.capture.Close()
}

// setCut cuts the wire or mends it.
func (r *relay) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	if cut {
		for c := range r.open {
			c.Close()
		}
	}
}

func (r *relay) isCut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.enter(c) {
			continue
		}
		r.done.Go(func() { r.carry(c) })
	}
}

// enter notes an open connection, or closes it when the wire is cut.
func (r *relay) enter(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		c.Close()
		return false
	}
	r.open[c] = true
	return true
}

func (r *relay) leave(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	c.Close()
}

func (r *relay) carry(near net.Conn) {
	defer r.leave(near)
	far, err := net.Dial("tcp", r.to)
	if err != nil || !r.enter(far) {
		return
	}
	defer r.leave(far)
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		ways.Go(func() {
			io.Copy(way[0], io.TeeReader(way[1], r)) // ends when either side closes
			near.Close()
			far.Close()
		})
	}
	ways.Wait()
}

// Write keeps a copy of what goes over the wire.
func (r *relay) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept+int64(len(b)) > maxCapture {
		return len(b), nil
	}
	n, err := r.capture.Write(b)
	r.kept += int64(n)
	return n, err
}
