package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gatepost/sync/wire"
)

const (
	maxAnswer = 64 << 10        // bytes of a body
	patience  = 2 * time.Minute // for one exchange; a full batch takes one on a slow line
	maxDetail = 200             // characters of the hub's words in a state
)

// Transport is how an uplink speaks to its hub, by o's CA, Pin and Proxy. X25519 alone makes the smallest handshake, and a later one goes on
// from its session.
func Transport(o Options) *http.Transport {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial, DisableCompression: true,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: o.CA, Time: o.now, CurvePreferences: []tls.CurveID{tls.X25519},
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		},
		TLSHandshakeTimeout: 30 * time.Second, IdleConnTimeout: 5 * time.Minute, MaxIdleConns: 1,
		MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	if o.Pin != nil {
		t.TLSClientConfig.InsecureSkipVerify = true // what follows is stricter
		t.TLSClientConfig.VerifyConnection = o.checkPin
	}
	return t
}

// dial connects as http.DefaultTransport does.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, (&conn{}).away(err)
	}
	return &conn{Conn: c}, nil
}

// A conn tells when it ends before the other side has said a byte.
type conn struct {
	net.Conn
	heard atomic.Bool
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.away(err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.away(err)
}

// away marks an error that means that the hub turned us away: a reset, or an end while it might still have spoken.
func (c *conn) away(err error) error {
	if !c.heard.Load() && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return err
}

// A refusal is an answer other than 200.
type refusal struct {
	wire.Problem
	after time.Duration // the hub asks to wait so long
}

// exchange makes one request and returns the hub's state; its error is a *refusal when the hub answered.
func (u *Uplink) exchange(ctx context.Context, method, path string, body []byte) (s wire.State, err error) {
	answer, err := u.do(ctx, method, path, body, "", maxAnswer)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		return s, fmt.Errorf("hub's answer: %w", err)
	}
	return s, nil
}

// do makes one request, with a proof where one is given, and returns an answer of at most max bytes. Its error is a
// *refusal when the hub answered, and a *disagreement when it has shut this device out.
func (u *Uplink) do(ctx context.Context, method, path string, body []byte, proof string, max int64) ([]byte, error) {
	if !u.anyScheme && !strings.HasPrefix(u.Hub, "https://") {
		return nil, errors.New("hub's address does not begin with https://")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(u.Hub, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("hub's address: %w", err)
	}
	req.Header["User-Agent"] = []string{""} // none: it costs bytes and says nothing
	if body != nil {
		req.Header.Set("Content-Type", wire.TypeBatch)
	}
	if proof != "" {
		req.Header.Set(wire.HeaderProof, proof)
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("hub's answer: %w", err)
	case int64(len(answer)) > max:
		return nil, fmt.Errorf("hub's answer exceeds %d bytes", max)
	case resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		r := refuse(resp, answer, u.Now())
		if r.Type == wire.ProblemRevoked {
			return nil, disagree("the hub has shut this device out, entries stay here: %v", r)
		}
		return nil, r
	}
	return answer, nil
}

// refuse reads a problem. A proxy on the way may answer with anything.
func refuse(resp *http.Response, answer []byte, now time.Time) *refusal {
	var r refusal
	if json.Unmarshal(answer, &r.Problem) != nil || r.Title == "" {
		r.Problem = wire.Problem{Title: "hub answers"}
	}
	r.Status = resp.StatusCode
	r.Title, r.Detail = short(r.Title), short(r.Detail)
	r.after = retryAfter(resp.Header, now)
	return &r
}

// retryAfter reads the header of that name (RFC 9110, 10.2.3): seconds, or a date, which is compared with the answer's
// own, since this machine's clock may be wrong. No more than maxAsked, 0 when there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	asked := h.Get("Retry-After")
	if n, err := strconv.ParseUint(asked, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(maxAsked/time.Second))) * time.Second
	}
	at, err := http.ParseTime(asked)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxAsked)
}

// short keeps a foreign text fit for a log line and a screen.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > maxDetail {
		return string(r[:maxDetail]) + "…"
	}
	return s
}
