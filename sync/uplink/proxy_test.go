package uplink

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A proxy tunnels by CONNECT, as those of firms do, for whoever knows the password.
type proxy struct {
	mu    sync.Mutex
	asked []string // targets
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, q.Method+" "+q.Host)
	p.mu.Unlock()
	if q.Header.Get("Proxy-Authorization") != "Basic Z2F0ZTpzZWNyZXQ=" { // gate:secret
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	far, err := net.Dial("tcp", q.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	var up sync.WaitGroup
	up.Go(func() { io.Copy(far, near); far.Close() })
	io.Copy(near, far) // ends when either side closes
	near.Close()
	up.Wait()
}

func (r *rig) through(p *proxy, user *url.Userinfo) {
	s := httptest.NewServer(p)
	r.t.Cleanup(s.Close)
	address, err := url.Parse(s.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	address.User = user
	r.options.Proxy = address
}

func TestProxy(t *testing.T) {
	r := newRig(t, 4)
	r.options.CA = pool(r.overTLS(&tls.Config{}))
	p := &proxy{}
	r.through(p, url.UserPassword("gate", "secret"))
	r.run("the last receipt", r.settled)
	r.whole()
	if want := "CONNECT " + strings.TrimPrefix(r.options.Hub, "https://"); len(p.asked) != 1 || p.asked[0] != want {
		t.Errorf("the proxy was asked %q, want %q", p.asked, want)
	}
}

// A proxy that refuses is a problem, which does not tell the password, and never a reason to go around it.
func TestProxyRefuses(t *testing.T) {
	r := newRig(t, 4)
	r.options.CA = pool(r.overTLS(&tls.Config{}))
	r.hub.prank = func(http.ResponseWriter, *http.Request) bool { t.Error("the hub was reached"); return false }
	r.through(&proxy{}, url.UserPassword("gate", "wrong-word"))
	r.run("the problem", func() bool { return r.seen().Problem != "" })
	if s := r.seen(); s.Online || !strings.Contains(s.Problem, "Proxy Authentication Required") || strings.Contains(s.Problem, "wrong-word") {
		t.Errorf("state %+v", s)
	}
}
