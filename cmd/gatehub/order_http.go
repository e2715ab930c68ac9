package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// orderHandler serves a device its orders, one at a time: GET /v1/devices/ID/orders?have=SLOT:SERIAL&have=…
type orderHandler struct {
	orders *orders
	known  func(id string) (ed25519.PublicKey, error)
	tokens pull.Tokens
	now    func() time.Time
}

func (h *orderHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := h.find(r)
	if p := (wire.Problem{}); errors.As(err, &p) {
		switch p.Status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", http.MethodGet)
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		p.Write(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if raw == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", wire.TypeBatch)
	w.Write(raw) // an error means that the peer has gone
}

// find returns the bytes of the order that a request gets, nil when there is none. Every error is a wire.Problem.
func (h *orderHandler) find(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodGet {
		return nil, wire.Problem{Type: wire.ProblemRequest, Status: http.StatusMethodNotAllowed, Title: "method not served here"}
	}
	id := r.PathValue("id")
	pub, err := h.known(id)
	if err != nil {
		return nil, err
	}
	if err := h.admit(r, id, pub); err != nil {
		return nil, err
	}
	had, err := readHave(r.URL.Query()["have"])
	if err != nil {
		return nil, wire.Problem{Type: wire.ProblemRequest, Status: http.StatusBadRequest, Title: "not what a device can have", Detail: err.Error()}
	}
	raw, _ := h.orders.next(id, had)
	return raw, nil
}

// admit returns a problem unless the device itself asks, or somebody with a token for its area.
func (h *orderHandler) admit(r *http.Request, id string, pub ed25519.PublicKey) error {
	if proof := r.Header.Get(wire.HeaderProof); proof != "" {
		if err := wire.CheckProof(pub, proof, h.now()); err != nil {
			return wire.Problem{Type: wire.ProblemSignature, Status: http.StatusForbidden, Title: "no proof", Detail: err.Error()}
		}
		return nil
	}
	word, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch known, sees := h.tokens.Find(word, h.orders.area(id)); {
	case !known:
		return wire.Problem{Type: wire.ProblemToken, Status: http.StatusUnauthorized, Title: "a device's proof or a token is needed"}
	case !sees:
		return wire.Problem{Type: wire.ProblemToken, Status: http.StatusForbidden, Title: "the token does not reach to this device"}
	}
	return nil
}

// readHave reads SLOT:SERIAL texts.
func readHave(texts []string) (map[string]uint64, error) {
	if len(texts) > wire.MaxSlots {
		return nil, fmt.Errorf("%d slots, %d are possible", len(texts), wire.MaxSlots)
	}
	had := map[string]uint64{}
	for _, t := range texts {
		slot, serial, _ := strings.Cut(t, ":")
		n, err := strconv.ParseUint(serial, 10, 64)
		if err != nil || slot == "" {
			return nil, fmt.Errorf("%.60q is not one such as \"policy:7\"", t)
		}
		had[slot] = n
	}
	return had, nil
}
