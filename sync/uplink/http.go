package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/wire"
)

const (
	maxAnswer = 64 << 10        // bytes of a body
	patience  = 2 * time.Minute // for one exchange; a full batch takes one on a slow line
	maxDetail = 200             // characters of the hub's words in a state
)

// transport speaks to the hub. X25519 alone makes the smallest handshake.
func transport(ca *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: ca, CurvePreferences: []tls.CurveID{tls.X25519},
		},
		TLSHandshakeTimeout: 30 * time.Second, IdleConnTimeout: 5 * time.Minute, MaxIdleConns: 1,
		MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
	}
}

// A refusal is an answer other than 200.
type refusal struct {
	wire.Problem
	after time.Duration // the hub asks to wait so long
}

// exchange makes one request and returns the hub's state; its error is a *refusal when the hub answered.
func (u *Uplink) exchange(ctx context.Context, method, path string, body []byte) (s wire.State, err error) {
	if !u.anyScheme && !strings.HasPrefix(u.Hub, "https://") {
		return s, errors.New("hub's address does not begin with https://")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(u.Hub, "/")+path, bytes.NewReader(body))
	if err != nil {
		return s, fmt.Errorf("hub's address: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", wire.TypeBatch)
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return s, fmt.Errorf("hub's answer: %w", err)
	case len(answer) > maxAnswer:
		return s, fmt.Errorf("hub's answer exceeds %d bytes", maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return s, refuse(resp, answer)
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		return s, fmt.Errorf("hub's answer: %w", err)
	}
	return s, nil
}

// refuse reads a problem. A proxy on the way may answer with anything.
func refuse(resp *http.Response, answer []byte) *refusal {
	var r refusal
	if json.Unmarshal(answer, &r.Problem) != nil || r.Title == "" {
		r.Problem = wire.Problem{Title: "hub answers"}
	}
	r.Status = resp.StatusCode
	r.Title, r.Detail = short(r.Title), short(r.Detail)
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		r.after = time.Duration(min(n, int(maxAsked/time.Second))) * time.Second
	}
	return &r
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
