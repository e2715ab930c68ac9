package entry_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"gatepost/storage/entry"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorFile = "testdata/vectors.json"

// vectors is what programs in other languages check themselves against.
type vectors struct {
	About   string          `json:"about"`
	Entries []entryVector   `json:"entries"` // one chain
	Sealed  sealedVector    `json:"sealed"`
	Receipt receiptVector   `json:"receipt"`
	Refused []refusedVector `json:"refused"` // bytes that are no entry
}

type entryVector struct {
	Hex    string `json:"hex"`
	Kind   string `json:"kind"`
	Number uint8  `json:"number"` // of the kind
	Seq    uint64 `json:"seq"`
	Boot   uint32 `json:"boot"`
	Wall   int64  `json:"wall"` // milliseconds
	Mono   int64  `json:"mono"` // milliseconds
	Trust  string `json:"trust"`
	Prev   string `json:"prev"`
	Before uint64 `json:"before"` // the sequence whose hash is prev
	Body   any    `json:"body"`   // by the names of the Go fields; bytes in base64
	Hash   string `json:"hash"`   // that the next entry carries
}

type sealedVector struct {
	PrivateKey string         `json:"private_key"` // raw X25519
	PublicKey  string         `json:"public_key"`
	Sealed     string         `json:"sealed"`
	Personal   entry.Personal `json:"personal"`
}

type receiptVector struct {
	Seed      string        `json:"seed"` // of the hub's Ed25519 key
	PublicKey string        `json:"public_key"`
	Receipt   entry.Receipt `json:"receipt"`
}

type refusedVector struct {
	Why string `json:"why"`
	Hex string `json:"hex"`
}

// seed is 32 bytes of one value: a key for tests.
func seed(b byte) []byte {
	s := make([]byte, 32)
	for i := range s {
		s[i] = b
	}
	return s
}

func authority(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(seed(3))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var (
	hubKey = ed25519.NewKeyFromSeed(seed(2))
	hubPub = hubKey.Public().(ed25519.PublicKey)
	device = entry.DeviceID(ed25519.NewKeyFromSeed(seed(1)).Public().(ed25519.PublicKey))
	nobody = entry.Personal{
		Family: "cccd", Verified: true, Reason: entry.ReasonDeclared, Name: "Nguyễn Văn A", Birth: "1990-01-31",
		Number: "001090000001", Address: "Thôn Đông, Mê Linh", Answers: map[string]any{"cough": false, "days": uint64(3)},
	}
)

// bodies is one of each kind, and one that nobody knows.
func bodies(sealed []byte) []any {
	return []any{
		entry.Boot{Program: "1.0.0"},
		entry.Passage{
			Lane: "gate", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: seed(5)[:16], Sealed: sealed,
		},
		entry.Undo{Seq: 2},
		entry.Fault{Part: "camera", Text: "unplugged"},
		entry.Fault{Part: "camera", Text: "plugged in", Clear: true},
		entry.Gap{First: 90, Last: 91, Why: "damaged page"},
		entry.Purge{First: 1, Last: 2, Receipt: []byte(`{}`)},
		entry.Handover{Device: "0011223344556677", Seq: 41, Hash: seed(6)},
		map[string]string{"of the future": "kept and chained"},
		entry.Gap{First: 10, Last: 12, Why: "in the place of the last lost entry", Hash: seed(8)},
		entry.Fault{Part: "journal", Text: "follows the hash that the gap hands on"},
		entry.Gap{First: 14, Last: 20, Why: "behind the lost entries"},
		entry.Undo{Seq: 2, Why: "wrong-way"},
		entry.Shift{Guard: "g-017", Before: "g-004", In: 143, Out: 12, Refused: 2, Looked: 9, Undone: 1, Defects: []string{"camera"}},
	}
}

// chain builds the entries of the vectors.
func chain(t *testing.T, sealed []byte) (raws [][]byte) {
	t.Helper()
	var head entry.Head
	for i, body := range bodies(sealed) {
		stamp := entry.Stamp{
			Wall: time.UnixMilli(1795400000123 + int64(i)*1000).UTC(), Mono: time.Duration(i) * time.Second, Trust: entry.Trust(i % 4),
		}
		d := entry.Draft{Kind: 200, Stamp: stamp, Body: []byte{0xa1, 0x01, 0x02}}
		if b, ok := body.(entry.Body); ok {
			var err error
			if d, err = entry.NewDraft(stamp, b); err != nil {
				t.Fatal(err)
			}
		}
		seq := head.Seq + 1
		if g, ok := body.(entry.Gap); ok && g.First == seq {
			if seq = g.Last; g.Hash == nil {
				seq++
			}
		}
		e := entry.Entry{Kind: d.Kind, Seq: seq, Boot: 7, Stamp: d.Stamp, Prev: head.Hash, Body: d.Body}
		raw, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if head, err = head.Follow(raw); err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	return raws
}

func describe(t *testing.T, raw []byte) entryVector {
	t.Helper()
	e, err := entry.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	head, err := entry.HeadOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	return entryVector{
		Hex: hex.EncodeToString(raw), Kind: e.Kind.String(), Number: uint8(e.Kind), Seq: e.Seq, Boot: e.Boot,
		Wall: e.Wall.UnixMilli(), Mono: e.Mono.Milliseconds(), Trust: e.Trust.String(), Prev: e.Prev.String(),
		Body: decodeBody(t, e), Hash: head.Hash.String(), Before: e.Before().Seq,
	}
}

// decodeBody reads the body by the entry's kind; of an unknown kind it gives the bytes.
func decodeBody(t *testing.T, e entry.Entry) any {
	t.Helper()
	switch e.Kind {
	case entry.KindPassage:
		return decode[entry.Passage](t, e)
	case entry.KindBoot:
		return decode[entry.Boot](t, e)
	case entry.KindGap:
		return decode[entry.Gap](t, e)
	case entry.KindUndo:
		return decode[entry.Undo](t, e)
	case entry.KindPurge:
		return decode[entry.Purge](t, e)
	case entry.KindHandover:
		return decode[entry.Handover](t, e)
	case entry.KindShift:
		return decode[entry.Shift](t, e)
	case entry.KindFault:
		return decode[entry.Fault](t, e)
	}
	return e.Body
}

func decode[T entry.Body](t *testing.T, e entry.Entry) T {
	t.Helper()
	body, err := entry.Decode[T](e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func refusals() []refusedVector {
	long := make([]byte, entry.MaxSize+1)
	long[0], long[9] = 1, 1
	zero := make([]byte, 63)
	zero[0], zero[1] = 1, 1
	return []refusedVector{
		{"empty", ""},
		{"shorter than a header", hex.EncodeToString(append([]byte{1}, make([]byte, 61)...))},
		{"version 2", hex.EncodeToString(append([]byte{2, 1, 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 53)...))},
		{"sequence 0", hex.EncodeToString(zero)},
	}
}

// writeVectors writes the file; the sealed part, which is another at each sealing, stays while it fits.
func writeVectors(t *testing.T, old vectors) {
	t.Helper()
	key := authority(t)
	sealed, err := hex.DecodeString(old.Sealed.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := entry.Unseal(key, sealed); err != nil || !reflect.DeepEqual(p, nobody) {
		s, err := entry.NewSealer(key.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if sealed, err = s.Seal(nobody); err != nil {
			t.Fatal(err)
		}
	}
	v := vectors{
		About:   "Vectors of docs/FORMATS.md. The person is invented; the keys are for tests alone.",
		Sealed:  sealedVector{hex.EncodeToString(key.Bytes()), hex.EncodeToString(key.PublicKey().Bytes()), hex.EncodeToString(sealed), nobody},
		Refused: refusals(),
	}
	var head entry.Head
	for _, raw := range chain(t, sealed) {
		v.Entries = append(v.Entries, describe(t, raw))
		if head, err = head.Follow(raw); err != nil {
			t.Fatal(err)
		}
	}
	v.Receipt = receiptVector{hex.EncodeToString(seed(2)), hex.EncodeToString(hubPub), entry.NewReceipt(hubKey, device, head, time.UnixMilli(1795400100000))}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if os.IsNotExist(err) && *update {
		return v
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	if *update {
		writeVectors(t, v)
		v = readVectors(t)
	}
	sealed := unhex(t, v.Sealed.Sealed)
	p, err := entry.Unseal(authority(t), sealed)
	if err != nil || !reflect.DeepEqual(p, nobody) {
		t.Errorf("sealed part: %v", err)
	}
	raws := chain(t, sealed)
	if len(v.Entries) != len(raws) {
		t.Fatalf("%d entries, want %d", len(v.Entries), len(raws))
	}
	var head entry.Head
	for i, raw := range raws {
		if got, want := toJSON(t, describe(t, raw)), toJSON(t, v.Entries[i]); got != want {
			t.Errorf("entry %d:\n got %s\nwant %s", i+1, got, want)
		}
		if head, err = head.Follow(unhex(t, v.Entries[i].Hex)); err != nil {
			t.Error(err)
		}
	}
	r := v.Receipt.Receipt
	if h, err := r.Head(); err != nil || h != head || r.Check(unhex(t, v.Receipt.PublicKey), device) != nil {
		t.Errorf("receipt %+v, %v", r, err)
	}
	if got := toJSON(t, entry.NewReceipt(hubKey, device, head, time.UnixMilli(r.At))); got != toJSON(t, r) {
		t.Errorf("receipt: %s", got)
	}
	for _, bad := range v.Refused {
		if _, err := entry.Parse(unhex(t, bad.Hex)); err == nil {
			t.Errorf("%s: parsed", bad.Why)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again any // maps sorted, numbers alike
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	b, err = json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
