package update

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/order"

	"golang.org/x/sys/unix"
)

const (
	// Suffix stands behind the SHA-256 in a bundle's file name, at the gate and on a stick.
	Suffix    = ".bundle"
	spare     = 64 << 20 // bytes that stay free for entries
	stallTime = time.Minute
)

var (
	errFull = errors.New("the card has no room for the bundle beside the entries")
	errSum  = errors.New("the bundle is not the one of the order: it was tampered with or damaged")
)

// bundleFile is where the bundle of an order is kept while it comes, and until it is installed.
func (u *Updater) bundleFile(o order.Update) string { return filepath.Join(u.Dir, o.SHA256+Suffix) }

// obtain returns the whole bundle of an order as a file that it has checked, and goes on where the last try came to.
func (u *Updater) obtain(ctx context.Context, o order.Update, done func(bytes int64)) (*os.File, error) {
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return nil, err
	}
	u.sweep(o)
	f, err := os.OpenFile(u.bundleFile(o), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = u.fill(ctx, o, f, done); err == nil {
		err = check(ctx, f, o)
	}
	if errors.Is(err, errSum) { // nothing of it can be believed
		err = errors.Join(err, os.Remove(f.Name()))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the bundles of other orders than o, which may be none.
func (u *Updater) sweep(o order.Update) {
	files, err := filepath.Glob(filepath.Join(u.Dir, "*"+Suffix))
	for _, f := range files {
		if f != u.bundleFile(o) {
			err = errors.Join(err, os.Remove(f))
		}
	}
	if err != nil {
		u.Log.Warn("old bundles stay", "error", err)
	}
}

// fill gets what f lacks of the bundle.
func (u *Updater) fill(ctx context.Context, o order.Update, f *os.File, done func(int64)) error {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if at > o.Size {
		at = 0
	}
	if at == o.Size {
		return nil
	}
	if err := u.room(o.Size - at); err != nil {
		return err
	}
	body, from, err := u.request(ctx, o, at)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if err := f.Truncate(from); err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(&counter{body, func(n int64) { done(from + n) }, 0}, o.Size-from))
	if err == nil && from+n < o.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("fetch bundle: %w", err)
	}
	return f.Sync()
}

// room refuses what would take the place of entries.
func (u *Updater) room(size int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(u.Dir, &fs); err != nil {
		return err
	}
	if int64(fs.Bavail)*int64(fs.Bsize) < size+spare {
		return errFull
	}
	return nil
}

// request asks for the bundle from a byte on, and returns from which it comes.
func (u *Updater) request(ctx context.Context, o order.Update, at int64) (body io.ReadCloser, from int64, err error) {
	u.mu.Lock()
	client := u.client
	u.mu.Unlock()
	if client == nil {
		return nil, 0, errors.New("fetch bundle: there is no hub; a stick may have it")
	}
	ctx, stop := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		stop(nil)
		return nil, 0, fmt.Errorf("fetch bundle: %w", err)
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	stalled := time.AfterFunc(stallTime, func() { stop(fmt.Errorf("nothing came for %v", stallTime)) })
	res, err := client.Do(req)
	if err != nil {
		stop(nil)
		return nil, 0, fmt.Errorf("fetch bundle: %w", err)
	}
	body = &stallBody{res.Body, stalled, stop}
	switch {
	case res.StatusCode == http.StatusPartialContent && strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", at)):
		return body, at, nil
	case res.StatusCode == http.StatusOK:
		return body, 0, nil
	}
	return nil, 0, errors.Join(fmt.Errorf("fetch bundle: %s answers %s", o.URL, res.Status), body.Close())
}

// A stallBody ends a request from which nothing comes.
type stallBody struct {
	io.ReadCloser
	stalled *time.Timer
	stop    context.CancelCauseFunc
}

func (b *stallBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.stalled.Reset(stallTime)
	return n, err
}

func (b *stallBody) Close() error {
	b.stalled.Stop()
	b.stop(nil)
	return b.ReadCloser.Close()
}

// A counter tells how much has come.
type counter struct {
	io.Reader
	done func(int64)
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.done(c.n)
	return n, err
}

// check reads the whole bundle.
func check(ctx context.Context, f *os.File, o order.Update) error {
	sum, err := hashOf(ctx, f, o.Size)
	if err != nil {
		return err
	}
	if hex.EncodeToString(sum[:]) != o.SHA256 {
		return errSum
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// TakeFile copies the bundle that the gate waits for from a stick at dir; none is no error.
func (u *Updater) TakeFile(dir string) error {
	o, ok := u.waiting()
	if !ok {
		return nil
	}
	in, err := os.Open(filepath.Join(dir, o.SHA256+Suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return err
	}
	if err := u.room(o.Size); err != nil {
		return err
	}
	aside := u.bundleFile(o) + ".new"
	out, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, o.Size))
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("copy bundle: %w", errors.Join(err, os.Remove(aside)))
	}
	if err := os.Rename(aside, u.bundleFile(o)); err != nil {
		return err
	}
	u.wake()
	return nil
}
