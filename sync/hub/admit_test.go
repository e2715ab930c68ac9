package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A hall is an http.Server behind a door.
type hall struct {
	t       testing.TB
	door    *Door
	addr    string
	roots   *x509.CertPool
	gate    chan struct{} // closed when requests for /wait may end
	waiting atomic.Int64  // requests for /wait that are there
	mu      sync.Mutex
	ahead   time.Duration // of the door's clock
}

func newHall(t testing.TB, o DoorOptions) *hall {
	t.Helper()
	h := &hall{t: t, gate: make(chan struct{}), roots: x509.NewCertPool()}
	o.TLS = h.certificate()
	o.Now = h.now
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.door, h.addr = NewDoor(l, o), l.Addr().String()
	s := &http.Server{Handler: h, ConnState: h.door.ConnState, ReadHeaderTimeout: time.Minute}
	ended := make(chan error)
	go func() { ended <- s.Serve(h.door) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("server ended: %v", err)
		}
	})
	return h
}

func (h *hall) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead)
}

// pass lets time go by for the door.
func (h *hall) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
}

func (h *hall) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/wait" {
		h.waiting.Add(1)
		defer h.waiting.Add(-1)
		select {
		case <-h.gate:
		case <-r.Context().Done():
		}
	}
}

func (h *hall) certificate() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		h.t.Fatal(err)
	}
	h.roots.AddCert(c)
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// dial opens a bare connection.
func (h *hall) dial() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// client makes a client with a connection of its own.
func (h *hall) client(http2 bool) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots}, ForceAttemptHTTP2: http2}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func (h *hall) get(c *http.Client, path string) error {
	r, err := c.Get("https://" + h.addr + path)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return errors.Join(err, r.Body.Close())
}

func (h *hall) must(c *http.Client, path string) {
	h.t.Helper()
	if err := h.get(c, path); err != nil {
		h.t.Fatal(err)
	}
}

// counts returns the connections that are open and idle, the sockets turned away, and those that wait.
func (h *hall) counts() (open, idle, turned, queued int) {
	h.door.mu.Lock()
	defer h.door.mu.Unlock()
	return h.door.open, h.door.idle.Len(), h.door.turned, len(h.door.queue)
}

// await waits for a condition.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// fill makes every handshake of the door wait for a silent peer, and then fills its queue.
func (h *hall) fill() (silent []net.Conn) {
	h.t.Helper()
	for i := range maxShakes + cap(h.door.queue) {
		silent = append(silent, h.dial())
		await(h.t, "a socket's turn", func() bool {
			open, _, _, queued := h.counts()
			return open == min(i+1, maxShakes) && open+queued == i+1
		})
	}
	return silent
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestDoorServes(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := newHall(t, DoorOptions{Slots: 1})
		for range 3 {
			c := h.client(http2)
			h.must(c, "/")
			h.must(c, "/")
			c.CloseIdleConnections()
		}
		await(t, "everyone's end", func() bool { open, idle, _, _ := h.counts(); return open == 0 && idle == 0 })
	}
}

// A peer that says nothing holds no slot, and a client on a slow line no more than it computes.
func TestSilentPeersHoldNoSlot(t *testing.T) {
	h := newHall(t, DoorOptions{Slots: 1})
	for range 20 {
		h.dial()
	}
	half := h.dial()
	if _, err := half.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil { // the beginning of a ClientHello
		t.Fatal(err)
	}
	await(t, "the silent ones", func() bool { open, _, _, _ := h.counts(); return open == 21 })
	h.must(h.client(true), "/")
}

// What exceeds the queue is reset before TLS; who waits gets in as soon as there is room.
func TestQueueIsBounded(t *testing.T) {
	h := newHall(t, DoorOptions{Queue: 3})
	silent := h.fill()
	for range 50 {
		if err := h.get(h.client(true), "/"); !isReset(err) {
			t.Fatalf("beyond the queue: %v", err)
		}
	}
	if _, _, turned, _ := h.counts(); turned != 50 {
		t.Errorf("%d turned away", turned)
	}
	for _, c := range silent[maxShakes:] { // those in the queue
		c.Close()
	}
	for _, c := range silent[:5] {
		c.Close()
	}
	await(t, "an empty queue", func() bool { _, _, _, queued := h.counts(); return queued == 0 })
	h.must(h.client(true), "/")
	if _, _, turned, _ := h.counts(); turned != 0 {
		t.Errorf("%d turned away though nobody waits", turned)
	}
}

// Who has waited too long is reset, for nobody is there any longer.
func TestOldSocketsAreReset(t *testing.T) {
	h := newHall(t, DoorOptions{Queue: 3})
	silent := h.fill()
	h.pass(maxQueued + time.Second)
	for _, c := range silent[:3] {
		c.Close()
	}
	for i, c := range silent[maxShakes:] {
		if _, err := c.Read(make([]byte, 1)); !isReset(err) {
			t.Errorf("socket %d: %v", i, err)
		}
	}
}

// Long polls neither hold a slot nor give way; an idle connection does, the oldest first.
func TestIdleConnectionsGiveWay(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := newHall(t, DoorOptions{Slots: 1, Conns: 4})
		polls := make(chan error, 2)
		for range 2 {
			go func() { polls <- h.get(h.client(http2), "/wait") }()
		}
		await(t, "the polls", func() bool { return h.waiting.Load() == 2 })
		first, second := h.client(http2), h.client(http2)
		h.must(first, "/")
		await(t, "an idle one", func() bool { _, idle, _, _ := h.counts(); return idle == 1 })
		h.must(second, "/")
		await(t, "idle ones", func() bool { _, idle, _, _ := h.counts(); return idle == 2 })

		if err := h.get(h.client(http2), "/"); !isReset(err) {
			t.Errorf("HTTP/2 %v: nobody had been idle for long, and a fifth came in: %v", http2, err)
		}
		h.pass(minIdle)
		third := h.client(http2)
		h.must(third, "/")
		if open, _, _, _ := h.counts(); open > 4 {
			t.Errorf("%d connections", open)
		}
		h.door.mu.Lock()
		kept := h.door.idle.Front().Value.(*conn).RemoteAddr().String()
		h.door.mu.Unlock()
		if got := localAddr(t, h, second); got != kept {
			t.Errorf("HTTP/2 %v: the connection of %s is left, not the younger one of %s", http2, kept, got)
		}
		close(h.gate)
		for range 2 {
			if err := <-polls; err != nil {
				t.Errorf("HTTP/2 %v: a long poll was cut: %v", http2, err)
			}
		}
	}
}

// localAddr makes a request and returns the address from which it came.
func localAddr(t *testing.T, h *hall, c *http.Client) (addr string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+h.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { addr = i.Conn.LocalAddr().String() },
	}))
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return addr
}

// Whoever waits when the door closes is reset, and the listener's own end is the server's.
func TestDoorCloses(t *testing.T) {
	h := newHall(t, DoorOptions{Queue: 3})
	silent := h.fill()
	if err := h.door.Close(); err != nil {
		t.Fatal(err)
	}
	for i, c := range silent {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("socket %d is still served", i)
		}
	}
	if open, _, _, queued := h.counts(); open != 0 || queued != 0 {
		t.Errorf("%d open, %d queued", open, queued)
	}
	if c, err := h.door.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, %v", c, err)
	}
	if err := h.door.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A listener whose accept fails: first for want of files, then for good.
type broken struct {
	net.Listener
	errs chan error
}

func (b *broken) Accept() (net.Conn, error) { return nil, <-b.errs }

func TestListenerFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broken{l, make(chan error, 2)}
	b.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
	b.errs <- io.ErrUnexpectedEOF
	d := NewDoor(b, DoorOptions{Now: time.Now})
	if _, err := d.Accept(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	d.Close()
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		want, other int
		files       uint64
		is          int
	}{{0, 8192, 1 << 40, 8192}, {5, 8192, 1 << 40, 5}, {0, 8192, 256, 256}, {500, 8192, 256, 256}, {-1, 0, 0, 1}} {
		if got := bound(c.want, c.other, c.files); got != c.is {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func FuzzDoor(f *testing.F) {
	h := newHall(f, DoorOptions{})
	f.Add([]byte{22, 3, 1, 0, 1, 1})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, said []byte) {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(said) // the door may have hung up
		c.Close()
		await(t, "the stranger's end", func() bool { open, _, _, _ := h.counts(); return open == 0 })
	})
}

// BenchmarkTurn is what one socket costs that is turned away, on both ends together.
func BenchmarkTurn(b *testing.B) {
	h := newHall(b, DoorOptions{Queue: 1})
	h.fill()
	end := time.Now().Add(shakeTime / 2) // then the silent ones lose their place
	for b.Loop() {
		c, err := net.Dial("tcp", h.addr)
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if !isReset(err) && time.Now().Before(end) {
			b.Fatal(err)
		}
	}
}
