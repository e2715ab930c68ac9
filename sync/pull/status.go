package pull

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// A Status is how a hub's log stands, as JSON. A token with areas sees the devices of those, and no consumer.
type Status struct {
	Epoch     string   `json:"epoch"`
	Last      uint64   `json:"last"` // place of the newest record
	Consumers []Lag    `json:"consumers"`
	Devices   []Device `json:"devices"`
}

// A Lag is how far one consumer is behind. Times are written as a Line's Wall, by the hub's clock.
type Lag struct {
	Name   string `json:"name"`
	Cursor string `json:"cursor"`
	Moved  string `json:"moved"`            // when the cursor was put
	Behind uint64 `json:"behind"`           // records that it has not taken wholly: batches, and alarms among them
	Oldest string `json:"oldest,omitempty"` // when the first of those was stored
}

// A Device is how far one device has come here. What it has not sent yet the hub cannot know.
type Device struct {
	ID      string `json:"device"`
	Name    string `json:"name,omitempty"`
	Venue   string `json:"venue,omitempty"`
	Area    string `json:"area,omitempty"`
	Seq     uint64 `json:"seq"`               // of its last entry here; 0: none
	Stored  string `json:"stored,omitempty"`  // when its last batch came; left out when the hub no longer knows
	Contact string `json:"contact,omitempty"` // when somebody last asked for it, which nothing proves; since the hub's start
	// ReplacedBy is the id of the device that stands in its place now; what it still holds is taken all the same.
	ReplacedBy string `json:"replaced_by,omitempty"`
	Revoked    bool   `json:"revoked,omitempty"` // the authority has shut it out
}

// Time returns t as a Status shows it; the zero time is "".
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(wallFormat)
}

func (s *server) status(w http.ResponseWriter, r *http.Request, token Token) error {
	_, last, err := s.Log.Read(r.Context(), 0, 0)
	if err != nil {
		return err
	}
	all := Status{Epoch: s.Log.Epoch(), Last: last, Consumers: []Lag{}, Devices: []Device{}}
	if s.Consumers != nil && token.everything() {
		if all.Consumers, err = s.lags(r.Context(), last); err != nil {
			return err
		}
	}
	if s.Fleet != nil {
		devices, err := s.Fleet(r.Context())
		if err != nil {
			return err
		}
		for _, d := range devices {
			if token.sees(d.Area) {
				all.Devices = append(all.Devices, d)
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(all) // an error means that the reader has gone
	return nil
}

// lags returns how far each consumer is behind the place last, by name.
func (s *server) lags(ctx context.Context, last uint64) ([]Lag, error) {
	kept, lags := s.Consumers.all(), []Lag{}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		l := Lag{Name: name, Cursor: kept[name].Cursor, Moved: Time(time.UnixMilli(kept[name].At))}
		if place, ok := s.Consumers.Kept(name); !ok {
			l.Behind = last // its cursor is of a log that is gone
		} else if last > place {
			l.Behind = last - place
		}
		if l.Behind > 0 {
			records, _, err := s.Log.Read(ctx, last-l.Behind, 1)
			if err != nil {
				return nil, err
			}
			if len(records) > 0 {
				l.Oldest = Time(records[0].At)
			}
		}
		lags = append(lags, l)
	}
	return lags, nil
}
