package wire

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"gatepost/storage/entry"
)

// A Record is one message of a hub's log, as readers of the log get it: a batch, an alarm or a release.
type Record struct {
	Seq     uint64    // place in the log, from 1, without gaps
	At      time.Time // when the hub stored it, by the hub's clock
	Raw     []byte    // the batch as its device signed it; nil in the others
	Alarm   *Alarm    // nil in the others
	Release *Release  // nil in the others
}

// IsBatch tells whether the record holds entries.
func (r Record) IsBatch() bool { return r.Alarm == nil && r.Release == nil }

// An Alarm says that a device signed two entries with one sequence: its card was cloned or rolled back, or, where Kind is
// AlarmReplaced, another device has taken its place and this one is still in use.
type Alarm struct {
	Device string `json:"device"`
	Seq    uint64 `json:"seq"`    // of the entry that exists twice
	Ours   string `json:"ours"`   // hash at the hub, hexadecimal
	Theirs string `json:"theirs"` // hash in the refused batch
	Kind   string `json:"kind,omitempty"`
}

// AlarmReplaced is the Kind of an alarm about a device that was replaced. Without a Kind it was cloned or rolled back.
const AlarmReplaced = "replaced"

// AlarmLost is the Kind of what stands in a kiosk's own log in the place of an entry that it lost; a gap follows.
const AlarmLost = "lost"

// VerifySpan returns an error unless sig is the signature of pub's device over a batch that goes on from
// before and ends at after. It serves readers who hold a batch's entries but not its bytes.
func VerifySpan(pub ed25519.PublicKey, device string, before, after entry.Head, sig []byte) error {
	if entry.DeviceID(pub) != device || !ed25519.Verify(pub, signed(device, before, after), sig) {
		return fmt.Errorf("batch's signature is not that of device %q", device)
	}
	return nil
}

// signed returns the text that is signed: the two heads stand for every byte between them.
func signed(device string, before, after entry.Head) []byte {
	return fmt.Appendf(nil, "gatepost/batch/1\n%s\n%d\n%v\n%d\n%v\n", device, before.Seq, before.Hash, after.Seq, after.Hash)
}
