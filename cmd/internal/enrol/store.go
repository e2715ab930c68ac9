// Package enrol makes a gate of a unit that knows nothing: it puts the enrolment together that the unit's own camera
// reads, keeps it, and lays it over the configuration.
//
// One file holds the enrolment in the bytes that its issuer signed, and it is replaced as a whole: whenever the unit
// loses power, it is enrolled or it is not. What others read beside it (keys as PEM, the network for the system's start)
// is made from that file again at every start.
//
// The first enrolment is taken from any issuer, unless the configuration names one; every later one only from the issuer
// of the one that is there, and only if it was issued later. It does not promise that a hub takes it: that hears of it
// when it can be reached.
package enrol

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const (
	codeFile  = "enrolment.cbor"
	takenFile = "taken" // holds the id of the enrolment that the hub has taken
)

// A Store is the folder of a unit's enrolment. It is safe for concurrent use.
type Store struct {
	dir    string
	issuer ed25519.PublicKey // the only one that counts; nil: see above
	log    *slog.Logger

	mu  sync.Mutex // guards what follows
	raw []byte     // nil: not enrolled
	now wire.Enrolment
}

// Open reads the enrolment in dir, which it makes. A damaged one counts as none, so that the unit can be enrolled again.
func Open(dir string, issuer ed25519.PublicKey, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the enrolment: %w", err)
	}
	s := &Store{dir: dir, issuer: issuer, log: log}
	raw, err := os.ReadFile(filepath.Join(dir, codeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("enrolment: %w", err)
	}
	e, err := parse(raw)
	if err != nil {
		log.Error("the enrolment is damaged, this unit must be enrolled again", "error", err)
		return s, nil
	}
	if issuer != nil && !issuer.Equal(e.Issuer) {
		log.Error("the enrolment is not of the configured issuer, this unit must be enrolled again")
		return s, nil
	}
	s.raw, s.now = raw, e
	return s, nil
}

// parse reads an enrolment that this program can use.
func parse(raw []byte) (wire.Enrolment, error) {
	e, err := wire.ParseEnrolment(raw)
	if err == nil {
		if _, unknown := time.LoadLocation(e.Zone); unknown != nil {
			err = fmt.Errorf("%w: no time zone %q", wire.ErrEnrolment, e.Zone)
		}
	}
	return e, err
}

// Current returns the enrolment that holds, if there is one.
func (s *Store) Current() (e wire.Enrolment, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.raw != nil
}

// ID returns the id of the enrolment that holds, in hexadecimal, "" where there is none.
func (s *Store) ID() string {
	e, ok := s.Current()
	if !ok {
		return ""
	}
	return hex.EncodeToString(e.ID[:])
}

// The reasons for which Take refuses an enrolment.
var (
	errSame    = errors.New("this gate has this enrolment")
	errOlder   = errors.New("issued before the enrolment that this gate has")
	errIssuer  = errors.New("not signed by the issuer that this gate knows")
	errExpired = errors.New("expired")
)

// Take makes raw the enrolment that holds; it is on the disk when it returns nil. Only a trusted clock can tell that it
// has expired, and what this one cannot tell the hub will.
func (s *Store) Take(raw []byte, now entry.Stamp) error {
	e, err := parse(raw)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	enrolled := s.raw != nil
	switch {
	case s.issuer != nil && !s.issuer.Equal(e.Issuer), s.issuer == nil && enrolled && !s.now.Issuer.Equal(e.Issuer):
		return errIssuer
	case enrolled && e.ID == s.now.ID:
		return errSame
	case enrolled && !e.Issued.After(s.now.Issued):
		return errOlder
	case now.Trust >= entry.TrustClock && !now.Wall.Before(e.Expires):
		return errExpired
	}
	if err := durable.Write(filepath.Join(s.dir, codeFile), raw, 0o600); err != nil {
		return err
	}
	s.raw, s.now = raw, e
	s.log.Info("enrolled", "venue", e.Venue, "name", e.Name, "hub", e.Hub, "enrolment", hex.EncodeToString(e.ID[:]))
	return nil
}

// Uplink adds to o what the enrolment says besides the configuration, and that the hub must hear of it, unless it has.
func (s *Store) Uplink(o uplink.Options) uplink.Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw == nil {
		return o
	}
	if len(s.now.Pin) > 0 && o.CA == nil { // an order may name another authority
		o.Pin = s.now.Pin
	}
	o.Since = s.now.Issued
	id := hex.EncodeToString(s.now.ID[:])
	if told, err := os.ReadFile(filepath.Join(s.dir, takenFile)); err != nil || string(told) != id {
		o.Enrolment = s.raw
	}
	o.OnEnrolled = func() {
		if err := durable.Write(filepath.Join(s.dir, takenFile), []byte(id), 0o600); err != nil {
			s.log.Warn("the hub will hear of the enrolment once more", "error", err)
		}
	}
	return o
}
