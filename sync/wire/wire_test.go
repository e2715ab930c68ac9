package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorFile = "testdata/vectors.json"

var (
	seed = bytes.Repeat([]byte{1}, 32)
	key  = ed25519.NewKeyFromSeed(seed)
	pub  = key.Public().(ed25519.PublicKey)
)

// vector is one batch, for programs in other languages to check themselves against.
type vector struct {
	About     string     `json:"about"`
	Seed      string     `json:"seed"` // of the device's Ed25519 key
	PublicKey string     `json:"public_key"`
	Device    string     `json:"device"`
	Entries   []string   `json:"entries"`
	Signed    string     `json:"signed"` // the text under the signature
	Signature string     `json:"signature"`
	Batch     string     `json:"batch"` // the bytes that travel
	State     wire.State `json:"state"` // what a hub answers that has stored it
}

// chain makes n entries behind head.
func chain(t testing.TB, head entry.Head, n, size int) (raws [][]byte) {
	t.Helper()
	for i := range n {
		d, err := entry.NewDraft(entry.Stamp{Wall: time.UnixMilli(1795400000000 + int64(i))}, entry.Fault{Part: "camera", Text: strings.Repeat("x", size)})
		if err != nil {
			t.Fatal(err)
		}
		e := entry.Entry{Kind: d.Kind, Seq: head.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: head.Hash, Body: d.Body}
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

func sign(t testing.TB, raws [][]byte) (wire.Batch, []byte) {
	t.Helper()
	b, err := wire.Sign(key, raws)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b, raw
}

func makeVector(t *testing.T) vector {
	t.Helper()
	before := entry.Head{Seq: 40, Hash: entry.HashOf([]byte("entry 40"))}
	b, raw := sign(t, chain(t, before, 3, 10))
	receipt := entry.NewReceipt(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)), b.Device, b.After(), time.UnixMilli(1795400100000))
	v := vector{
		About: "Vector of docs/PROTOCOL.md. The keys are for tests alone.",
		Seed:  hex.EncodeToString(seed), PublicKey: hex.EncodeToString(pub), Device: b.Device,
		Signed: "gatepost/batch/1\n" + b.Device + "\n40\n" + before.Hash.String() + "\n43\n" + b.After().Hash.String() + "\n",
		Batch:  hex.EncodeToString(raw), Signature: hex.EncodeToString(b.Sig),
		State: wire.State{Device: b.Device, Seq: 43, Hash: b.After().Hash.String(), Receipt: &receipt},
	}
	for _, e := range b.Entries {
		v.Entries = append(v.Entries, hex.EncodeToString(e))
	}
	return v
}

func TestVector(t *testing.T) {
	want, err := json.MarshalIndent(makeVector(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the bytes are others than in %s, %v:\n%s", vectorFile, err, want)
	}
	var v vector
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(v.Batch)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.Parse(raw)
	if err != nil || b.Verify(pub) != nil || b.Device != v.Device || b.Before().Seq != 40 || b.After().Seq != v.State.Seq {
		t.Errorf("%+v, %v", b, err)
	}
	if sig, err := hex.DecodeString(v.Signature); err != nil || !ed25519.Verify(pub, []byte(v.Signed), sig) {
		t.Errorf("the signature is not over the text: %v", err)
	}
}

func TestEveryByteOfABatchCounts(t *testing.T) {
	_, raw := sign(t, chain(t, entry.Head{}, 3, 5))
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if b, err := wire.Parse(bad); err == nil && b.Verify(pub) == nil {
			t.Errorf("byte %d was changed, and it verifies", i)
		}
		if _, err := wire.Parse(raw[:i]); !errors.Is(err, wire.ErrBatch) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, err := wire.Parse(append(raw, 0)); !errors.Is(err, wire.ErrBatch) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestVerifyWantsTheDevice(t *testing.T) {
	b, _ := sign(t, chain(t, entry.Head{}, 1, 5))
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	if b.Verify(other.Public().(ed25519.PublicKey)) == nil {
		t.Error("another's key fits")
	}
	b.Device = entry.DeviceID(other.Public().(ed25519.PublicKey))
	if b.Verify(pub) == nil || b.Verify(other.Public().(ed25519.PublicKey)) == nil {
		t.Error("a batch was passed off as another device's")
	}
}

func TestSignWantsAChain(t *testing.T) {
	raws := chain(t, entry.Head{}, 4, 5)
	for name, bad := range map[string][][]byte{
		"nothing":      nil,
		"a gap":        {raws[0], raws[2]},
		"out of order": {raws[1], raws[0]},
		"twice":        {raws[0], raws[0]},
		"no entry":     {raws[0], []byte("x")},
		"too many":     chain(t, entry.Head{}, wire.MaxEntries+1, 1),
	} {
		if _, err := wire.Sign(key, bad); !errors.Is(err, wire.ErrBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, _ := sign(t, chain(t, entry.Head{}, wire.MaxEntries, 1)); b.After().Seq != wire.MaxEntries {
		t.Errorf("after %d", b.After().Seq)
	}
}

func TestBatchIsBounded(t *testing.T) {
	b, err := wire.Sign(key, chain(t, entry.Head{}, 150, 7500))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := b.Marshal(); err == nil {
		t.Errorf("a batch of %d bytes", len(raw))
	}
	if _, err := wire.Parse(make([]byte, wire.MaxBatch+1)); !errors.Is(err, wire.ErrBatch) {
		t.Errorf("%v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	raws := chain(t, entry.Head{}, 2, 5)
	many := make([][]byte, wire.MaxEntries+1)
	for name, v := range map[string]any{
		"version 2":      []any{2, "d", raws, []byte{1}},
		"a fifth item":   []any{1, "d", raws, []byte{1}, 0},
		"three items":    []any{1, "d", raws},
		"a map":          map[string]any{"Version": 1},
		"no entries":     []any{1, "d", [][]byte{}, []byte{1}},
		"too many":       []any{1, "d", many, []byte{1}},
		"texts":          []any{1, "d", []string{"a"}, []byte{1}},
		"a broken chain": []any{1, "d", [][]byte{raws[0], raws[0]}, []byte{1}},
		"deep":           []any{1, "d", []any{[]any{[]any{[]any{}}}}, []byte{1}},
		"a tag":          cbor.Tag{Number: 55799, Content: []any{1, "d", raws, []byte{1}}},
	} {
		raw, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := wire.Parse(raw); !errors.Is(err, wire.ErrBatch) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

func TestProblem(t *testing.T) {
	w := httptest.NewRecorder()
	p := wire.Problem{Type: wire.ProblemStep, Title: "stands elsewhere", Status: 409, State: &wire.State{Device: "d", Seq: 4}}
	p.Write(w)
	var got wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 409 || w.Header().Get("Content-Type") != wire.TypeProblem || got.State.Seq != 4 {
		t.Errorf("%d, %+v, %v", w.Code, got, err)
	}
	if s := p.Error(); s != "stands elsewhere (409)" {
		t.Error(s)
	}
	p.Detail = "why"
	if s := p.Error(); s != "stands elsewhere (409): why" {
		t.Error(s)
	}
}

func FuzzParse(f *testing.F) {
	_, raw := sign(f, chain(f, entry.Head{}, 2, 5))
	f.Add(raw)
	f.Add(raw[:30])
	f.Add([]byte{0x84, 0x01, 0x61, 'd', 0x81, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := wire.Parse(raw)
		if err != nil {
			if !errors.Is(err, wire.ErrBatch) {
				t.Errorf("%v is no ErrBatch", err)
			}
			return
		}
		if n := b.After().Seq - b.Before().Seq; n < uint64(len(b.Entries)) { // a gap stands for several
			t.Errorf("%d entries from %d to %d", len(b.Entries), b.Before().Seq, b.After().Seq)
		}
		b.Verify(pub)
	})
}
