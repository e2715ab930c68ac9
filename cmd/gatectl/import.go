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

// A tally is what became of one device's batches.
type tally struct {
	taken, there int  // entries
	refused      int  // batches
	behind       bool // the hub lacks entries before those on the stick
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
	if m.client, err = importClient(*ca); err != nil {
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

// importClient trusts the authorities in the file ca, or the system's when it is empty.
func importClient(ca string) (*http.Client, error) {
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
		Timeout:       importTime,
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
		t, err := m.device(ctx, id)
		if err != nil {
			return false, err
		}
		all = all && t.refused == 0
	}
	return all, nil
}

// device imports the batches of one device and leaves the hub's answer on the stick. An error ends the whole import:
// the hub or the stick is gone.
func (m *importer) device(ctx context.Context, id string) (t tally, err error) {
	state, err := m.state(ctx, id)
	if why, refused := refusal(err); refused {
		fmt.Fprintf(m.err, "gatectl import: %s: %v\n", id, why)
		return tally{refused: 1}, nil
	}
	if err != nil {
		return t, err
	}
	list, err := m.stick.Batches(id)
	if err != nil {
		return t, err
	}
	for _, p := range list {
		if state, err = m.batch(ctx, state, p, &t); err != nil {
			return t, err
		}
	}
	if state, err = m.state(ctx, id); err != nil {
		return t, err
	}
	fmt.Fprintf(m.out, "%s: %d entries taken, %d already there, %d files refused, the hub holds up to %d\n", id, t.taken, t.there, t.refused, state.Seq)
	if err := m.stick.Answer(state, t.behind); err != nil || m.token == "" {
		return t, err
	}
	return t, m.orders(ctx, id)
}

// batch hands one batch to the hub, which stands at state, and returns where it stands then.
func (m *importer) batch(ctx context.Context, state wire.State, p uplink.Span, t *tally) (wire.State, error) {
	refuse := func(why any) (wire.State, error) {
		t.refused++
		fmt.Fprintf(m.err, "gatectl import: %s/%v: refused: %v\n", state.Device, p, why)
		return state, nil
	}
	raw, err := m.stick.Batch(state.Device, p)
	if err != nil {
		return refuse(err)
	}
	b, err := wire.Parse(raw)
	switch {
	case err != nil:
		return refuse(err)
	case b.Device != state.Device:
		return refuse("it is of device " + strconv.Quote(b.Device))
	case b.Before().Seq > state.Seq && !(m.anew && state.Seq == 0):
		t.behind = true
		return refuse(fmt.Sprintf("the hub holds entries up to %d, and those before %d are not on the stick: its kiosk will put them there", state.Seq, b.Before().Seq+1))
	}
	next, err := m.exchange(ctx, http.MethodPost, wire.PathBatches, state.Device, raw)
	problem := wire.Problem{}
	if errors.As(err, &problem) && problem.Type == wire.ProblemStep && problem.State != nil && problem.State.Seq >= b.After().Seq {
		next, err = state, nil // the hub went past it before
	}
	if why, refused := refusal(err); refused {
		return refuse(why)
	}
	if err != nil {
		return state, err
	}
	if next.Seq > state.Seq {
		t.taken += len(b.Entries)
	} else {
		t.there += len(b.Entries)
	}
	return next, nil
}

// refusal returns the problem that err is, if trying again would not help.
func refusal(err error) (p wire.Problem, refused bool) {
	refused = errors.As(err, &p) && p.Status >= 400 && p.Status < 500
	return p, refused
}

func (m *importer) state(ctx context.Context, id string) (wire.State, error) {
	return m.exchange(ctx, http.MethodGet, wire.PathDevice+id, id, nil)
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
