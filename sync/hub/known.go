package hub

import (
	"crypto/ed25519"
	"net/http"

	"gatepost/sync/wire"
)

// Known returns the key of a device that may speak here. Its error is the wire.Problem that says why it may not.
func (h *Hub) Known(id string) (ed25519.PublicKey, error) {
	pub, ok := h.opt.Devices(id)
	if !ok {
		return nil, problem(wire.ProblemDevice, http.StatusForbidden, "unknown device", "this hub does not know the device's key")
	}
	if h.opt.Revoked != nil && h.opt.Revoked(id) {
		return nil, problem(wire.ProblemRevoked, http.StatusForbidden, "revoked device", "the authority has shut this device out")
	}
	return pub, nil
}
