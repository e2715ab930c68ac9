package flash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ahead is how many chunks may be read while the slowest card writes.
const ahead = 16

// errImage means that the image is not the one of its map.
var errImage = errors.New("the image is damaged, or the block map is another's")

// A Step is how many of its bytes a card has been given, and how many of them were read back.
type Step struct{ Written, Read, Of int64 }

// Write copies what m maps of the image to all cards at once, at the pace of the slowest, and reads it back from each. Block 0,
// without which a card does not start, is written last and taken away again when what was read is not what was written: a card
// is whole or does not start. It returns what went wrong with each card, nil for one that is good. seen is called by
// several goroutines, for one card by one at a time.
func Write(ctx context.Context, image io.Reader, m Map, cards []*Card, seen func(c *Card, s Step)) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	faults := make([]error, len(cards))
	lines := make([]chan chunk, len(cards))
	var all sync.WaitGroup
	var failed atomic.Int64
	for i, c := range cards {
		lines[i] = make(chan chunk, ahead)
		all.Go(func() {
			w := writer{Card: c, m: m, seen: func(s Step) { seen(c, s) }, step: Step{Of: m.Used()}}
			if faults[i] = w.fill(ctx, lines[i]); faults[i] != nil && failed.Add(1) == int64(len(cards)) {
				cancel(errors.New("no card is left"))
			}
			for range lines[i] { // the others go on
			}
		})
	}
	if err := feed(ctx, image, m, lines); err != nil {
		cancel(err)
	}
	for _, line := range lines {
		close(line)
	}
	all.Wait()
	return faults
}

// A chunk is bytes of the image, for any number of readers.
type chunk struct {
	at   int64
	data []byte
}

// feed reads the image once and gives each mapped range to every line, when its hash is right.
func feed(ctx context.Context, image io.Reader, m Map, lines []chan chunk) error {
	at := int64(0)
	for _, r := range m.Ranges {
		if _, err := io.CopyN(io.Discard, image, r.from-at); err != nil {
			return short(err)
		}
		sum := sha256.New()
		for at = r.from; at < r.to; {
			c := chunk{at, make([]byte, min(chunkSize, r.to-at))}
			if _, err := io.ReadFull(image, c.data); err != nil {
				return short(err)
			}
			sum.Write(c.data)
			at += int64(len(c.data))
			if at == r.to && [sha256.Size]byte(sum.Sum(nil)) != r.sum {
				return fmt.Errorf("bytes %d to %d: %w", r.from, r.to, errImage)
			}
			for _, line := range lines {
				select {
				case line <- c:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
	}
	return nil
}

// short says what the end of an image means that should have gone on.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early: %w", errImage)
	}
	return fmt.Errorf("read image: %w", err)
}

// A writer brings one card to its end.
type writer struct {
	*Card
	m     Map
	seen  func(Step)
	step  Step
	first []byte // block 0
}

func (w *writer) fill(ctx context.Context, line <-chan chunk) error {
	for c := range line {
		if c.at == 0 {
			n := min(blockSize, len(c.data))
			w.first = c.data[:n]
			if err := w.put(make([]byte, n), 0); err != nil { // what was on the card before must not start either
				return err
			}
			c.at, c.data = int64(n), c.data[n:]
		}
		if err := w.put(c.data, c.at); err != nil {
			return err
		}
		w.step.Written += int64(len(c.data))
		w.seen(w.step)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := errors.Join(w.put(w.first, 0), w.flush()); err != nil {
		return err
	}
	w.step.Written += int64(len(w.first))
	w.seen(w.step)
	if err := w.compare(ctx); err != nil {
		return errors.Join(err, w.put(make([]byte, len(w.first)), 0), w.flush())
	}
	return nil
}

// compare reads every range from the card itself, not from what the system remembers of it.
func (w *writer) compare(ctx context.Context) error {
	back, err := w.back()
	if err != nil {
		return err
	}
	defer back.Close()
	buf, err := pages(chunkSize)
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	for _, r := range w.m.Ranges {
		sum := sha256.New()
		for at := r.from; at < r.to; at += chunkSize {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			part := buf[:min(chunkSize, r.to-at)]
			if _, err := back.ReadAt(part, at); err != nil {
				return fmt.Errorf("read back: %w", err)
			}
			sum.Write(part)
			w.step.Read += int64(len(part))
			w.seen(w.step)
		}
		if [sha256.Size]byte(sum.Sum(nil)) != r.sum {
			return fmt.Errorf("bytes %d to %d are not what was written: the card is worn out, or smaller than it says", r.from, r.to)
		}
	}
	return nil
}
