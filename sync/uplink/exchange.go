package uplink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"

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
	s, err := u.ask(ctx)
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
	if u.trial.Seq > 0 && s.Seq >= u.trial.Seq { // the hub took the gap, and its answer got lost
		u.tellAside()
	}
	u.cursor, u.limit, u.agreed, u.pace = s.Seq, wire.MaxEntries, true, pace{}
	if u.empty = s.Seq == 0; u.empty {
		u.cursor = u.j.First() - 1
	}
	u.down.tell(s.Orders)
	return nil
}

// ask makes the request of a contact. Where somebody wants the time, it brings a nonce and hands the hub's time on.
func (u *Uplink) ask(ctx context.Context) (wire.State, error) {
	path := wire.PathDevice + u.device
	if u.OnTime == nil && u.Orders == nil {
		return u.exchange(ctx, http.MethodGet, path, nil)
	}
	var random [wire.NonceSize]byte
	rand.Read(random[:]) // never fails
	nonce := hex.EncodeToString(random[:])
	sent := u.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent = u.Now() }, // the handshake is no part of the round trip
	})
	s, err := u.exchange(ctx, http.MethodGet, path+"?nonce="+nonce, nil)
	if err != nil || s.Time == nil {
		return s, err
	}
	trip := u.Now().Sub(sent)
	at, err := s.Time.Check(u.ReceiptKey, u.device, nonce)
	if err != nil { // the clock can do without; what else the hub says proves itself
		u.Log.Warn("hub's time does not count", "error", err)
		return s, nil
	}
	u.down.at, u.down.heard = at, u.Now()
	if u.OnTime != nil {
		u.OnTime(at, trip)
	}
	return s, nil
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

// send sends one batch from the cursor on. An entry that the hub refuses alone is set aside.
func (u *Uplink) send(ctx context.Context) error {
	const overhead = 256 + 8*wire.MaxEntries + 64*maxAside // of a batch besides its entries: device, signature, lengths, gaps
	raws, err := u.j.Range(u.cursor, u.limit, wire.MaxBatch-overhead)
	if err != nil {
		return err
	}
	first := raws[0]
	for i, raw := range raws {
		if raws[i], err = u.aside.onWire(raw); err != nil {
			return err
		}
	}
	err = u.post(ctx, raws)
	if p := (*poison)(nil); errors.As(err, &p) {
		return u.sendGap(ctx, first, p)
	}
	return err
}

// post sends entries as a batch.
func (u *Uplink) post(ctx context.Context, raws [][]byte) error {
	b, err := wire.Sign(u.Key, raws)
	if err != nil {
		return err
	}
	body, err := b.Marshal()
	if err != nil {
		return err
	}
	path := wire.PathBatches
	if u.empty { // else a hub that has lost its log since the contact would begin here, in the middle
		path += wire.Begin
	}
	began := u.Now()
	s, err := u.exchange(ctx, http.MethodPost, path, body)
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
	u.cursor, u.empty = s.Seq, false
	u.pace.add(len(raws), u.Now().Sub(began))
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
	case r.Type == wire.ProblemBatch && r.Status == http.StatusBadRequest:
		return &poison{r}
	}
	return u.stuck(r)
}

// stuck is the disagreement about the entry behind the cursor.
func (u *Uplink) stuck(why error) error {
	return &disagreement{fmt.Sprintf("the hub refuses entry %d, and none behind it can be sent: %v", u.cursor+1, why), false}
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
