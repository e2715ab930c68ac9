package wire

import (
	"encoding/json"
	"fmt"
	"net/http"

	"gatepost/storage/entry"
)

// Paths that a hub serves. A device stands in them by its id.
const (
	PathBatches   = "/v1/batches"      // POST a batch; 200 with a State
	PathDevice    = "/v1/devices/"     // GET + id, ?nonce=…: a State
	OrdersOf      = "/orders"          // behind PathDevice + id, GET ?have=SLOT:SERIAL…: the next Order, or 204
	PathLog       = "/v1/log"          // GET ?after=CURSOR&limit=N: NDJSON, see sync/pull
	PathConsumers = "/v1/consumers/"   // PUT + name + "/cursor": how far a puller has come
	PathStatus    = "/v1/status"       // GET: the log's end, and how every device stands
	PathEnrol     = "/v1/enrol"        // POST a claim, TypeBatch; 200 with a State
	PathBundles   = "/v1/bundles/"     // GET + name: what an update brings
	PathReleases  = "/v1/releases"     // POST a Release before its seals are opened; 201 with a Recorded
	TypeBatch     = "application/cbor" // of a batch and of an order
	TypeProblem   = "application/problem+json"
)

// Begin stands behind PathBatches where the sender knows that the hub holds nothing of the device.
const Begin = "?begin=1"

// A State is where a hub stands with a device. Hash and Receipt are empty when it holds nothing.
type State struct {
	Device  string         `json:"device"`
	Seq     uint64         `json:"seq"`
	Hash    string         `json:"hash,omitempty"`
	Receipt *entry.Receipt `json:"receipt,omitempty"`
	Time    *Time          `json:"time,omitempty"`   // when the request brought a nonce
	Orders  string         `json:"orders,omitempty"` // of a contact: names the set of orders for the device; empty: none
}

// A Problem is an RFC 9457 answer. Type is one of the constants below, below "urn:gatepost:problem:".
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	State  *State `json:"state,omitempty"` // with ProblemStep and ProblemFork: where the hub stands
	Start  string `json:"start,omitempty"` // with ProblemCursor: the first cursor that works
}

// The types of Problem.
const (
	ProblemBatch     = "urn:gatepost:problem:batch"     // 400: not a batch, or a broken chain
	ProblemTooLarge  = "urn:gatepost:problem:too-large" // 413
	ProblemDevice    = "urn:gatepost:problem:device"    // 403: this hub does not know the device
	ProblemRevoked   = "urn:gatepost:problem:revoked"   // 403: the authority has shut the device out
	ProblemSignature = "urn:gatepost:problem:signature" // 403
	ProblemStep      = "urn:gatepost:problem:step"      // 409: the batch does not go on from the hub's head; contact again
	ProblemFork      = "urn:gatepost:problem:fork"      // 409: same sequence, another hash; an alarm
	ProblemToken     = "urn:gatepost:problem:token"     // 401; 403: its areas do not reach so far
	ProblemRate      = "urn:gatepost:problem:rate"      // 429: too many requests with one token; Retry-After counts
	ProblemCursor    = "urn:gatepost:problem:cursor"    // 400: not a cursor; 409: it goes back; 410: of a log that is gone, see Start
	ProblemStore     = "urn:gatepost:problem:store"     // 503: not stored; send again later
	ProblemEnrolment = "urn:gatepost:problem:enrolment" // 400: not a claim; 403: not for this hub; 409: used by another device; 410: expired
	ProblemRequest   = "urn:gatepost:problem:request"   // 400, 404, 405: nothing that this hub serves
)

func (p Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%s (%d)", p.Title, p.Status)
	}
	return fmt.Sprintf("%s (%d): %s", p.Title, p.Status, p.Detail)
}

// Write answers with p.
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", TypeProblem)
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // an error means that the peer has gone
}
