package hub

import (
	"context"
	"errors"
	"time"
)

// ErrEmpty means that a store has no message that was asked for.
var ErrEmpty = errors.New("nothing stored")

// A Message is one record as a store keeps it.
type Message struct {
	Place   uint64 // in the log, from 1 on, growing with each message
	Subject string // two words: see below
	At      time.Time
	Data    []byte
}

// A Store keeps messages for ever, in one order. Several hubs may write to it at once. A subject that is asked for may be
// "*.*", which stands for any.
type Store interface {
	// Append stores a message of one subject durably and returns its place. It is not stored unless prev is the place of the
	// subject's last message, 0 for none. After an error nobody knows whether it was stored.
	Append(ctx context.Context, subject string, data []byte, prev uint64) (place uint64, err error)
	// First returns the first message at or behind place, and Last the newest one. Both know of every message whose Append had
	// returned before, from whichever hub. Without such a message their error is ErrEmpty.
	First(ctx context.Context, place uint64, subject string) (Message, error)
	Last(ctx context.Context, subject string) (Message, error)
}

// Subjects of messages.
const (
	batchSubject   = "log."     // + device: a batch's own bytes
	alarmSubject   = "alarm."   // + device: the JSON of a wire.Alarm
	releaseSubject = "release." // + a random word: the JSON of a wire.Release
	anySubject     = "*.*"
)
