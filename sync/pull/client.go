package pull

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/klauspost/compress/zstd"
)

const (
	maxLine    = 64 << 10 // an entry of entry.MaxSize in base64, twice, and the rest
	maxProblem = 64 << 10
)

// ErrReach means that the hub could not be reached, or not to a page's end; it may work later.
var ErrReach = errors.New("hub not reached")

// A Client pulls from one hub. It always checks that each line's hash is that of its entry, that the entries
// of each device follow one another, and that what a line says in clear is what its entry says. It is not
// safe for concurrent use: it remembers where each device's chain stands from page to page.
type Client struct {
	HTTP  *http.Client // has the hub's CA; its Timeout must be longer than any wait
	URL   string       // of the hub, "https://hub.example:8443"
	Token string

	// Devices are the keys by device id. With nil no signature is checked; otherwise a batch of a device
	// that is not in it is an error.
	Devices map[string]ed25519.PublicKey
	// Authority opens the sealed parts, when it is set.
	Authority *ecdh.PrivateKey

	chains  map[string]chain
	scratch []byte
}

// Resume makes c go on as one that has read each device's chain up to these heads, all of them ends of batches. Of a device
// that is not among them, the first entry may be any.
func (c *Client) Resume(heads map[string]entry.Head) {
	c.chains = make(map[string]chain, len(heads))
	for device, h := range heads {
		c.chains[device] = chain{Head: h}
	}
}

// Whole returns an error unless everything that was read stands in a batch that has come to its end: only that carries a
// signature. At a log's end it must.
func (c *Client) Whole() error {
	for device, at := range c.chains {
		if at.unsigned > 0 {
			return fmt.Errorf("the log ends inside a batch of device %s: nobody has signed its last entries", device)
		}
	}
	return nil
}

// chain is how far a device's entries have been read, and how many of the last have no signature yet.
type chain struct {
	entry.Head
	unsigned int
}

// Page pulls up to limit entries behind the cursor after (empty: from the start), waiting for the first one
// as long as wait, and calls each with every entry that was found good. It returns the cursor to go on
// from, which is right even beside an error: of the last entry that each took. A page without entries has
// n == 0; nothing is new when next is after, too. The hub's refusals are wire.Problems.
func (c *Client) Page(ctx context.Context, after string, limit int, wait time.Duration, each func(Line) error) (next string, n int, err error) {
	res, err := c.get(ctx, after, limit, wait)
	if err != nil {
		return after, 0, err
	}
	defer res.Body.Close()
	next = after
	if s := res.Header.Get(CursorHeader); s != "" {
		next = s
	}
	body, done, err := plain(res)
	if err != nil {
		return after, 0, err
	}
	defer done()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		l, err := c.read(lines.Bytes())
		if err != nil {
			return next, n, err
		}
		at, err := c.check(&l)
		if err != nil {
			return next, n, fmt.Errorf("entry %d of device %s: %w", l.Seq, l.Device, err)
		}
		if err := each(l); err != nil {
			return next, n, err
		}
		c.keep(l.Device, at)
		next, n = l.Cursor, n+1
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return next, n, fmt.Errorf("a line exceeds %d bytes", maxLine)
	} else if err != nil {
		return next, n, fmt.Errorf("%w: page broke off: %w", ErrReach, err)
	}
	return next, n, nil
}

func (c *Client) get(ctx context.Context, after string, limit int, wait time.Duration) (*http.Response, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		q.Set("after", after)
	}
	if wait > 0 {
		q.Set("wait", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	req, err := c.request(ctx, http.MethodGet, wire.PathLog+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "zstd")
	return c.do(req, http.StatusOK)
}

// plain returns the uncompressed body and what to call when it has been read.
func plain(res *http.Response) (io.Reader, func(), error) {
	switch e := res.Header.Get("Content-Encoding"); e {
	case "":
		return res.Body, func() {}, nil
	case "zstd":
		z, err := zstd.NewReader(res.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("read a page: %w", err)
		}
		return z, z.Close, nil
	default:
		return nil, nil, fmt.Errorf("read a page: it is encoded as %q", e)
	}
}

// ParseLine reads one line of a page. It does not check what the line says.
func ParseLine(raw []byte) (l Line, err error) {
	if len(raw) > maxLine {
		return l, fmt.Errorf("line of %d bytes exceeds %d", len(raw), maxLine)
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, fmt.Errorf("not a line of a page: %w", err)
	}
	l.Personal, l.PersonalError = nil, "" // nobody but this machine's key can say them
	return l, nil
}

// read reads a line and checks that it says what its entry says.
func (c *Client) read(raw []byte) (Line, error) {
	if l, ok := quick(raw, &c.scratch); ok {
		return l, nil
	}
	l, err := ParseLine(raw) // another hub may write the same otherwise
	if err != nil {
		return l, err
	}
	if _, err = ParseCursor(l.Cursor); err == nil {
		err = sameInClear(l)
	}
	if err != nil {
		err = fmt.Errorf("entry %d of device %s: %w", l.Seq, l.Device, err)
	}
	return l, err
}

// check verifies that l goes on from what came before, opens its sealed part and returns where its device's chain stands
// behind it.
func (c *Client) check(l *Line) (at chain, err error) {
	before, known := c.chains[l.Device]
	at.unsigned = before.unsigned + 1
	e, err := entry.Parse(l.Entry)
	if err == nil && known {
		err = before.Precedes(e)
	}
	if err != nil {
		return at, err
	}
	at.Seq = e.Seq
	if at.Hash, err = entry.ParseHash(l.Hash); err != nil { // read has held it against the entry
		return at, err
	}
	if c.Devices != nil {
		if err := c.verify(*l, at); err != nil {
			return at, err
		}
	}
	if l.Batch != nil {
		at.unsigned = 0
	}
	c.open(l)
	return at, nil
}

// keep remembers where a chain stands, once its reader has taken the entry.
func (c *Client) keep(device string, at chain) {
	if c.chains == nil {
		c.chains = map[string]chain{}
	}
	c.chains[device] = at
}

// sameInClear tells whether the hub described the entry as it is.
func sameInClear(l Line) error {
	at, _ := ParseCursor(l.Cursor)
	want, err := line(at, wire.Batch{Device: l.Device}, l.Entry)
	if err != nil {
		return err
	}
	got, _ := json.Marshal(withoutBatch(l))
	exact, _ := json.Marshal(withoutBatch(want))
	if string(got) != string(exact) {
		return errors.New("the line does not say what the entry says")
	}
	return nil
}

func withoutBatch(l Line) Line {
	l.Batch = nil
	return l
}

// verify checks the device's signature over the batch that ends with l. Where none ends, it checks that
// the hub does not simply leave the signatures out.
func (c *Client) verify(l Line, at chain) error {
	if l.Batch == nil {
		if at.unsigned >= wire.MaxEntries {
			return errors.New("more entries without a signature than a batch can have")
		}
		return nil
	}
	pub, ok := c.Devices[l.Device]
	if !ok {
		return errors.New("no key of this device is known here")
	}
	hash, err := entry.ParseHash(l.Batch.Before.Hash)
	if err != nil {
		return err
	}
	return wire.VerifySpan(pub, l.Device, entry.Head{Seq: l.Batch.Before.Seq, Hash: hash}, at.Head, l.Batch.Sig)
}

// open opens the sealed part. One that cannot be opened or shown does not hold up the rest.
func (c *Client) open(l *Line) {
	if c.Authority == nil || len(l.Sealed) == 0 {
		return
	}
	p, err := entry.Unseal(c.Authority, l.Sealed)
	if err == nil {
		_, err = json.Marshal(p)
	}
	if err != nil {
		l.PersonalError = err.Error()
		return
	}
	l.Personal = &p
}
