package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// errStep means that the hub does not stand where the batch begins. Comparing heads again will tell.
var errStep = errors.New("hub stands elsewhere")

// errSmaller means that the batch was refused, and that a smaller one may pass or show which entry is to blame.
var errSmaller = errors.New("hub refuses the batch")

// A disagreement stops the sending and is an alarm. The next contact may find that it is over.
type disagreement struct {
	text   string
	online bool // the hub itself works
}

func (d *disagreement) Error() string { return d.text }

func disagree(format string, args ...any) error {
	return &disagreement{fmt.Sprintf(format, args...), true}
}

// contact asks where the hub stands and finds the place where both agree.
func (u *Uplink) contact(ctx context.Context) error {
	s, err := u.exchange(ctx, http.MethodGet, wire.PathDevice+u.device, nil)
	if err != nil {
		return err
	}
	if err := u.compare(s); err != nil {
		return err
	}
	if err := u.rewind(s.Seq); err != nil {
		return err
	}
	if err := u.keep(s); err != nil {
		return err
	}
	u.cursor, u.limit, u.agreed = s.Seq, wire.MaxEntries, true
	if s.Seq == 0 {
		u.cursor = u.j.First() - 1
	}
	return nil
}

// compare returns a disagreement unless the hub's head lies on our chain.
func (u *Uplink) compare(s wire.State) error {
	if s.Device != u.device {
		return fmt.Errorf("hub answers for device %q", s.Device)
	}
	if s.Seq == 0 {
		return nil
	}
	theirs, err := entry.ParseHash(s.Hash)
	if err != nil {
		return fmt.Errorf("hub's answer: %w", err)
	}
	head, first := u.j.Head(), u.j.First()
	if s.Seq > head.Seq {
		return disagree("the hub holds entries of this device up to %d, this journal ends at %d: was the card cloned or set back?", s.Seq, head.Seq)
	}
	if s.Seq < first-1 {
		return disagree("the hub has lost entries: it ends at %d, and those before %d are deleted here", s.Seq, first)
	}
	ours, err := u.j.Hash(s.Seq)
	if errors.Is(err, journal.ErrGap) { // the hub got it before it was lost here; the gap that says so comes next
		return nil
	}
	if err != nil {
		return err
	}
	if ours != theirs {
		return disagree("the hub holds another entry %d of this device: %v there, %v here: was the card cloned?", s.Seq, theirs, ours)
	}
	return nil
}

// rewind forgets receipts for what the hub has lost.
func (u *Uplink) rewind(seq uint64) error {
	first, receipted := u.j.First(), u.j.Receipted()
	if from := max(seq, first-1); receipted > from {
		u.Log.Warn("the hub has lost entries, they are sent again", "from", from+1, "to", receipted)
		if err := u.j.Rewind(from); err != nil {
			return err
		}
	}
	if seq == 0 && first > 1 {
		u.Log.Warn("the hub has lost entries that are deleted here", "from", 1, "to", first-1)
	}
	return nil
}

// send sends one batch from the cursor on.
func (u *Uplink) send(ctx context.Context) error {
	const overhead = 256 + 8*wire.MaxEntries // of a batch besides its entries: device, signature, lengths
	raws, err := u.j.Range(u.cursor, u.limit, wire.MaxBatch-overhead)
	if err != nil {
		return err
	}
	b, err := wire.Sign(u.Key, raws)
	if err != nil {
		return err
	}
	body, err := b.Marshal()
	if err != nil {
		return err
	}
	s, err := u.exchange(ctx, http.MethodPost, wire.PathBatches, body)
	if err != nil {
		return u.refused(err, len(raws))
	}
	if err := u.compare(s); err != nil {
		return err
	}
	if s.Seq < b.After().Seq {
		return fmt.Errorf("hub took a batch up to entry %d and stands at %d", b.After().Seq, s.Seq)
	}
	if err := u.keep(s); err != nil {
		return err
	}
	u.cursor = s.Seq
	return nil
}

// refused says what follows when the hub refuses a batch of n entries.
func (u *Uplink) refused(err error, n int) error {
	r := (*refusal)(nil)
	if !errors.As(err, &r) {
		return err
	}
	switch {
	case r.Type == wire.ProblemFork && r.State != nil:
		if err := u.compare(*r.State); err != nil {
			return err
		}
		return disagree("the hub says that this device has two chains: %v", r)
	case r.Type == wire.ProblemFork:
		return disagree("the hub says that this device has two chains: %v", r)
	case r.Status == http.StatusConflict:
		return errStep
	case r.Status != http.StatusRequestEntityTooLarge && r.Status != http.StatusBadRequest:
		return err
	case n > 1:
		u.limit = n / 2
		return errSmaller
	}
	return &disagreement{fmt.Sprintf("the hub refuses entry %d, and none behind it can be sent: %v", u.cursor+1, r), false}
}

// keep stores the receipt of an answer, if there is one.
func (u *Uplink) keep(s wire.State) error {
	if s.Receipt == nil {
		return nil
	}
	r := *s.Receipt
	if err := r.Check(u.ReceiptKey, u.device); err != nil {
		return &disagreement{text: "the hub's receipts do not count here: " + err.Error()}
	}
	if r.Seq > s.Seq {
		return fmt.Errorf("hub's receipt is for entry %d, and it holds %d", r.Seq, s.Seq)
	}
	err := u.j.PutReceipt(r)
	if errors.Is(err, journal.ErrFork) {
		return disagree("the hub has signed for another entry %d of this device: was the card cloned?", r.Seq)
	}
	return err
}
