package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/storage/view"
	"gatepost/sync/wire"

	"github.com/BurntSushi/toml"
)

const (
	maxUsed    = 100 // enrolments that are remembered of one device; older ones have expired
	retryEnrol = "5" // seconds, when the folder could not be written
)

// enroller serves wire.PathEnrol: it puts devices that show an issuer's enrolment into the devices folder, which is
// the record of what was used by whom.
type enroller struct {
	devices *devices
	issuer  ed25519.PublicKey // nil: nobody enrols here
	receipt ed25519.PublicKey // of this hub
	now     func() time.Time
	changed func(map[string]view.Place)
	state   func(ctx context.Context, device string) (wire.State, error)
	// first returns the claim of who was first to use an enrolment, at whichever hub of the cluster: raw, where nobody
	// was quicker. nil: this hub stands alone.
	first func(ctx context.Context, enrolment string, raw []byte) ([]byte, error)
	log   *slog.Logger

	mu sync.Mutex // one change of the folder at a time
}

func (e *enroller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refusal(wire.ProblemRequest, http.StatusMethodNotAllowed, "method not served here").Write(w)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxEnrolment))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		refusal(wire.ProblemTooLarge, http.StatusRequestEntityTooLarge, "claim too large").Write(w)
		return
	} else if err != nil { // it broke off: what would have come is not to blame
		w.Header().Set("Retry-After", retryEnrol)
		refusal(wire.ProblemStore, http.StatusServiceUnavailable, "not stored").Write(w)
		return
	}
	s, err := e.enrol(r.Context(), raw)
	if p := (wire.Problem{}); errors.As(err, &p) {
		p.Write(w)
		return
	} else if err != nil {
		e.log.Error("device not enrolled", "error", err)
		w.Header().Set("Retry-After", retryEnrol)
		refusal(wire.ProblemStore, http.StatusServiceUnavailable, "not stored").Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s) // an error means that the peer has gone
}

// enrol returns the hub's state of the device that claims; its files are on the disk then. An error that is no
// wire.Problem is the disk's or the log's.
func (e *enroller) enrol(ctx context.Context, raw []byte) (wire.State, error) {
	c, err := wire.ParseClaim(raw)
	switch {
	case errors.Is(err, wire.ErrEnrolmentSig):
		return wire.State{}, refusal(wire.ProblemSignature, http.StatusForbidden, "wrong signature")
	case err != nil:
		p := refusal(wire.ProblemEnrolment, http.StatusBadRequest, "not a claim")
		p.Detail = err.Error()
		return wire.State{}, p
	case e.issuer == nil || !e.issuer.Equal(c.Enrolment.Issuer):
		return wire.State{}, refusal(wire.ProblemEnrolment, http.StatusForbidden, "this hub does not know the issuer of the enrolment")
	case !e.receipt.Equal(c.Enrolment.ReceiptKey):
		return wire.State{}, refusal(wire.ProblemEnrolment, http.StatusForbidden, "the enrolment names the receipt key of another hub")
	}
	if err := e.take(ctx, c, raw); err != nil {
		return wire.State{}, err
	}
	return e.state(ctx, entry.DeviceID(c.Device))
}

// take records the claim, once: the same device may come again, since an answer gets lost.
func (e *enroller) take(ctx context.Context, c wire.Claim, raw []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	all, err := e.known()
	if err != nil {
		return err
	}
	switch user(all, c) {
	case entry.DeviceID(c.Device):
		return nil
	case "":
	default:
		return errUsed
	}
	if !e.now().Before(c.Enrolment.Expires) {
		return refusal(wire.ProblemEnrolment, http.StatusGone, "the enrolment has expired")
	}
	if e.first != nil {
		first, err := e.first(ctx, hex.EncodeToString(c.Enrolment.ID[:]), raw)
		if err != nil {
			return err
		}
		if f, err := wire.ParseClaim(first); err != nil || !bytes.Equal(f.Device, c.Device) {
			return errUsed
		}
	}
	return e.settle(all, c)
}

var errUsed = refusal(wire.ProblemEnrolment, http.StatusConflict, "another device has used this enrolment")

// learn records a claim that another hub of the cluster has taken. One that says nothing to this hub is passed over: the
// next ones must be heard all the same.
func (e *enroller) learn(raw []byte) error {
	c, err := wire.ParseClaim(raw)
	if err != nil || !e.issuer.Equal(c.Enrolment.Issuer) {
		e.log.Error("another hub's device left out: this hub does not know the issuer of its enrolment", "error", err)
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	all, err := e.known()
	if err != nil {
		return err
	}
	if user(all, c) != "" || all[entry.DeviceID(c.Device)].enrolledAfter(c.Enrolment.Expires) {
		return nil
	}
	return e.settle(all, c)
}

// known returns the devices as the folder has them now. e.mu is held.
func (e *enroller) known() (map[string]known, error) {
	if err := e.devices.refresh(e.changed); err != nil {
		return nil, err
	}
	return e.devices.snapshot()
}

// user returns the id of the device that has used c's enrolment, "" where none has.
func user(all map[string]known, c wire.Claim) string {
	used := hex.EncodeToString(c.Enrolment.ID[:])
	for id, k := range all {
		if slices.Contains(k.Enrolments, used) {
			return id
		}
	}
	return ""
}

// settle gives the device its place.
func (e *enroller) settle(all map[string]known, c wire.Claim) error {
	id, used := entry.DeviceID(c.Device), hex.EncodeToString(c.Enrolment.ID[:])
	if err := e.replace(all, c.Enrolment, id); err != nil {
		return err
	}
	if err := e.record(all, c, used); err != nil {
		return err
	}
	e.log.Info("device enrolled", "name", c.Enrolment.Name, "device", id, "enrolment", used)
	return e.devices.refresh(e.changed)
}

// replace marks whoever stands where the new device will. It comes first, so that a device whose own files are there
// has nothing left to do; one that is marked goes on sending what it holds.
func (e *enroller) replace(all map[string]known, n wire.Enrolment, id string) error {
	for other, k := range all {
		if other == id || k.Name != n.Name && k.stem != n.Name || k.Venue != n.Venue && k.Venue != "" || k.ReplacedBy != "" {
			continue
		}
		k.ReplacedBy = id
		if err := e.devices.save(k.stem, k.record); err != nil {
			return err
		}
		e.log.Info("device replaced", "name", n.Name, "device", other, "by", id)
	}
	return nil
}

// record writes the device's two files, the key last: a device is known by its key.
func (e *enroller) record(all map[string]known, c wire.Claim, used string) error {
	id, n := entry.DeviceID(c.Device), c.Enrolment
	k, mine := all[id]
	if !mine {
		k = known{stem: n.Name}
		for _, other := range all {
			if other.stem == n.Name {
				k.stem = n.Name + "-" + id
			}
		}
	}
	k.Schema, k.Name, k.Venue, k.Area, k.ReplacedBy = 1, n.Name, n.Venue, n.Area, ""
	k.Enrolled = e.now().UTC().Format(time.RFC3339)
	k.Enrolments = append(slices.Clone(k.Enrolments[max(0, len(k.Enrolments)-maxUsed+1):]), used)
	if err := e.devices.save(k.stem, k.record); err != nil || mine {
		return err
	}
	text, err := keyfile.PublicPEM(c.Device)
	if err != nil {
		return err
	}
	return durable.Write(filepath.Join(e.devices.dir, k.stem+keySuffix), text, 0o644)
}

// snapshot returns the devices by id. It is not to be changed. An error means that nobody knows what was used: a file
// cannot be read.
func (d *devices) snapshot() (map[string]known, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faulty != "" {
		return nil, fmt.Errorf("the files of device %q in the devices folder cannot be read, and with them what it used", d.faulty)
	}
	return d.all, nil
}

// save writes a device's NAME.toml.
func (d *devices) save(stem string, r record) error {
	text, err := toml.Marshal(r)
	if err != nil {
		return fmt.Errorf("device's record: %w", err)
	}
	return durable.Write(filepath.Join(d.dir, stem+".toml"), text, 0o644)
}

func refusal(kind string, status int, title string) wire.Problem {
	return wire.Problem{Type: kind, Title: title, Status: status}
}
