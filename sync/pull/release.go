package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"gatepost/sync/wire"
)

// release records a release for a token that sees all of its devices, and answers when the record is durable.
func (s *server) release(w http.ResponseWriter, r *http.Request, token Token) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxRelease))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return problem(wire.ProblemTooLarge, http.StatusRequestEntityTooLarge, "a release is shorter")
	} else if err != nil {
		return problem(wire.ProblemRequest, http.StatusBadRequest, "the release cannot be read")
	}
	all, err := wire.ParseRelease(raw)
	if err != nil {
		return problem(wire.ProblemRequest, http.StatusBadRequest, err.Error())
	}
	for _, d := range all.Devices {
		if !token.everything() && !token.sees(s.Area(d.Device)) {
			return problem(wire.ProblemToken, http.StatusForbidden, "a device is of another area than the token")
		}
	}
	all.Token = token.ID()
	place, err := s.Release(r.Context(), all)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(wire.Recorded{Case: all.Case, Record: place, Token: all.Token}) // an error means that the reader has gone
	return nil
}

// Release asks the hub to record that the seals of r are about to be opened. Without an error it has done so durably.
func (c *Client) Release(ctx context.Context, r wire.Release) (done wire.Recorded, err error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return done, err
	}
	req, err := c.request(ctx, http.MethodPost, wire.PathReleases, raw)
	if err != nil {
		return done, err
	}
	req.Header.Set("Content-Type", "application/json")
	if err := c.answer(req, http.StatusCreated, &done); err != nil {
		return done, err
	}
	if done.Case != r.Case || done.Record == 0 {
		return done, fmt.Errorf("the hub's answer is for the case %.40q", done.Case)
	}
	return done, nil
}
