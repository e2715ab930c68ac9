package enrol

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// A Reader takes the texts that the lanes see. It is safe for concurrent use.
type Reader struct {
	store *Store
	clock func() entry.Stamp
	taken func()

	mu    sync.Mutex
	parts wire.Parts
	began time.Time // when the first part of these came
}

// NewReader returns what reads enrolments into store. taken is called for each one that is taken.
func NewReader(store *Store, clock func() entry.Stamp, taken func()) *Reader {
	return &Reader{store: store, clock: clock, taken: taken}
}

// Read takes a text and says what to show for it. part is false of one that is no part of an enrolment.
func (r *Reader) Read(text string) (said guard.Said, part bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, of, whole, part, err := r.parts.Add(text)
	switch {
	case !part:
		return guard.Said{}, false
	case err != nil:
		return refused(err), true
	case whole == nil:
		return guard.Said{Face: guard.Ask, Words: r.progress(have, of)}, true
	}
	if err := r.store.Take(whole, r.clock()); err != nil {
		return refused(err), true
	}
	r.taken()
	return guard.Said{Face: guard.Ready, Words: guard.Text{VI: "Đã ghi danh", EN: "enrolled"}}, true
}

// progress says how many parts are here, and from the second one on how long the others take at this pace.
func (r *Reader) progress(have, of int) guard.Text {
	words := guard.Text{VI: fmt.Sprintf("Đang ghi danh: phần %d trên %d", have, of), EN: fmt.Sprintf("enrolling: part %d of %d", have, of)}
	if have == 1 {
		r.began = time.Now()
		return words
	}
	left := time.Since(r.began) / time.Duration(have-1) * time.Duration(of-have)
	seconds := int(left.Seconds()) + 1
	words.VI += fmt.Sprintf(", còn khoảng %d giây", seconds)
	words.EN += fmt.Sprintf(", about %d s left", seconds)
	return words
}

// refused says why a code is not taken. What cannot be written is told with its reason, which names a file.
func refused(err error) guard.Said {
	face, words := guard.Stop, guard.Text{}
	switch {
	case errors.Is(err, errSame):
		face, words = guard.Ask, guard.Text{VI: "Cổng đã có mã ghi danh này", EN: "this gate has this enrolment already"}
	case errors.Is(err, errOlder):
		words = guard.Text{VI: "Mã cũ hơn mã đang dùng", EN: "this enrolment is older than the one in use"}
	case errors.Is(err, errIssuer):
		words = guard.Text{VI: "Mã không do cơ quan mà cổng này biết ký", EN: "this enrolment is not signed by the issuer that this gate knows"}
	case errors.Is(err, errExpired):
		words = guard.Text{VI: "Mã ghi danh đã hết hạn", EN: "this enrolment has expired"}
	case errors.Is(err, wire.ErrParts):
		words = guard.Text{VI: "Các phần không khớp, hãy đọc lại", EN: "the parts do not fit together: show them again"}
	case errors.Is(err, wire.ErrEnrolmentSig):
		words = guard.Text{VI: "Chữ ký của mã sai", EN: "this enrolment carries a wrong signature"}
	case errors.Is(err, wire.ErrEnrolment):
		words = guard.Text{VI: "Mã này không dùng được ở đây", EN: "this enrolment cannot be used here"}
	default:
		face, words = guard.Broken, guard.Text{VI: "Không ghi được", EN: "not written: " + err.Error()}
	}
	return guard.Said{Face: face, Words: words}
}
