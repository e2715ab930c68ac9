package main

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
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const importHelp = `usage: gatectl import -hub URL [-ca FILE] [-token FILE] [-anew] STICK

Hands the batches on the stick that is mounted at STICK to a hub, and leaves the hub's receipts on it for the kiosks.
No password is needed: a batch proves itself. With a token of those who may pull, the hub's orders for the devices on the
stick travel back, too. Doing it twice does no harm.
Exit status: 0 the hub holds all of it, 1 not all, 2 usage.

`

const (
	importTime  = 2 * time.Minute // for one batch
	importTries = 10              // of one, while the hub asks to wait
	importWait  = time.Minute     // the longest that a hub can ask for
	maxImport   = 64 << 10        // bytes of an answer
)

// An importer carries one stick to one hub.
type importer struct {
	env
	hub    string
	client *http.Client
	stick  *uplink.Stick
	token  string // with which orders are asked for, "" = none are
	anew   bool
}

func importCommand(ctx context.Context, e env, args []string) int {
	fs := newFlags("import", importHelp)
	m := importer{env: e}
	fs.StringVar(&m.hub, "hub", "", "address of the hub, `URL` as https://127.0.0.1:8443")
	ca := fs.String("ca", "", "PEM `FILE` of the hub's certificate authority; left out: the system's")
	token := fs.String("token", "", "`FILE` with a token of the hub, to bring its orders back")
	fs.BoolVar(&m.anew, "anew", false, "a hub that holds nothing of a device takes what is on the stick, though the entries before it are nowhere any more")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if !strings.HasPrefix(m.hub, "https://") || fs.NArg() != 1 {
		return misused(e, fs, "-hub with https:// and the stick's folder are needed")
	}
	var err error
	if m.client, err = hubClient(*ca, importTime); err != nil {
		return fail(e, "import", err)
	}
	if m.token, err = readToken(*token); err != nil {
		return fail(e, "import", err)
	}
	if m.stick, err = uplink.OpenStick(fs.Arg(0)); err != nil {
		return fail(e, "import", err)
	}
	defer m.stick.Close()
	all, err := m.run(ctx)
	if err != nil {
		return fail(e, "import", fmt.Errorf("%w (what was taken before counts: try again)", err))
	}
	if !all {
		return exitFail
	}
	return exitOK
}

// hubClient trusts the authorities in the file ca, or the system's when it is empty. It follows no redirection: a token or a
// batch goes to the hub or nowhere.
func hubClient(ca string, most time.Duration) (*http.Client, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read certificate authority: %w", err)
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificate authority: %s holds no certificate", ca)
		}
	}
	return &http.Client{
		Timeout:       most,
		Transport:     &http.Transport{TLSClientConfig: t, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// run imports device by device, and reports whether nothing was refused.
func (m *importer) run(ctx context.Context) (all bool, err error) {
	defer m.client.CloseIdleConnections()
	ids, err := m.stick.Devices()
	if err != nil {
		return false, err
	}
	if len(ids) == 0 {
		return false, errors.New("there is nothing of Gatepost on the stick")
	}
	all = true
	for _, id := range ids {
		whole, err := m.device(ctx, id)
		if err != nil {
			return false, err
		}
		all = all && whole
	}
	return all, nil
}

// device imports the batches of one device.
func (m *importer) device(ctx context.Context, id string) (whole bool, err error) {
	in := uplink.Import{Stick: m.stick, Anew: m.anew, Exchange: m.exchange, Refused: func(device, what string, why any) {
		if what == "" {
			fmt.Fprintf(m.err, "gatectl import: %s: %v\n", device, why)
		} else {
			fmt.Fprintf(m.err, "gatectl import: %s/%s: refused: %v\n", device, what, why)
		}
	}}
	t, err := in.Device(ctx, id)
	if err == nil && t.Known {
		fmt.Fprintf(m.out, "%s: %d entries taken, %d already there, %d files refused, the hub holds up to %d\n", id, t.Taken, t.There, t.Refused, t.Up)
	}
	if err == nil && t.Known && m.token != "" {
		err = m.orders(ctx, id)
	}
	if p := (wire.Problem{}); errors.As(err, &p) && p.Status < http.StatusInternalServerError { // the others go on
		fmt.Fprintf(m.err, "gatectl import: %v\n", err)
		return false, nil
	}
	return t.Refused == 0, err
}

// exchange asks the hub, which may ask to wait, about a device. An answer other than 200 is a wire.Problem.
func (m *importer) exchange(ctx context.Context, method, path, device string, body []byte) (s wire.State, err error) {
	for range importTries {
		var wait time.Duration
		if s, wait, err = m.try(ctx, method, path, body); wait == 0 || !pause(ctx, wait) {
			break
		}
	}
	if err == nil && s.Device != device {
		err = fmt.Errorf("hub answers for device %q", s.Device)
	}
	return s, err
}

func (m *importer) try(ctx context.Context, method, path string, body []byte) (s wire.State, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(m.hub, "/")+path, bytes.NewReader(body))
	if err != nil {
		return s, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", wire.TypeBatch)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return s, 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxImport))
	if err != nil {
		return s, 0, fmt.Errorf("hub's answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		if err = json.Unmarshal(answer, &s); err != nil {
			err = fmt.Errorf("hub's answer: %w", err)
		}
		return s, 0, err
	}
	var p wire.Problem
	if json.Unmarshal(answer, &p) != nil || p.Title == "" {
		p = wire.Problem{Title: "hub answers"} // or a proxy on the way does
	}
	p.Status = resp.StatusCode
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 && p.Status == http.StatusServiceUnavailable {
		wait = min(time.Duration(n)*time.Second, importWait)
	}
	return s, wait, p
}
