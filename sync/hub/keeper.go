package hub

import (
	"context"
	"errors"
)

// keptHead returns the highest head of device that a receipt may name: its newest, at, or where a consumer is named
// the keeper, the last one that stands in the log up to where that consumer has come. It is empty when there is none.
func (h *Hub) keptHead(ctx context.Context, device string, at head) (head, error) {
	if h.opt.Kept == nil {
		return at, nil
	}
	upTo, named := h.opt.Kept()
	if !named {
		return at, nil
	}
	if at.at > upTo {
		var err error
		if at, err = h.lastUpTo(ctx, device, upTo); err != nil {
			return head{}, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept[device] = at
	return at, nil
}

// lastUpTo finds the last batch of device whose place is not behind upTo, by halving the log between there and the one that
// was found last. So nothing has to be remembered of batches that wait for the keeper, and a question costs at most as
// many reads as upTo has bits.
func (h *Hub) lastUpTo(ctx context.Context, device string, upTo uint64) (head, error) {
	h.mu.Lock()
	found := h.kept[device]
	h.mu.Unlock()
	if found.at > upTo { // the keeper went back: it has lost what it had
		found = head{}
	}
	low, high := found.at, upTo // the last batch stands at low or behind it, and none stands behind high
	var last Message
	for mid := low + 1; low < high; mid = high - (high-low)/2 { // at first: is there another one at all?
		m, err := h.store.First(ctx, mid, batchSubject+device)
		switch {
		case errors.Is(err, ErrEmpty) || err == nil && m.Place > upTo:
			high = mid - 1
		case err != nil:
			return head{}, err
		default:
			last, low = m, m.Place
		}
	}
	if last.Place == 0 {
		return found, nil
	}
	return headIn(last)
}
