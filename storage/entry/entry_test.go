package entry_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
)

func TestMarshalAndParseAreOne(t *testing.T) {
	e := entry.Entry{
		Kind: 99, Seq: 1<<64 - 1, Boot: 1<<32 - 1, Prev: entry.Hash{1, 31: 2}, Body: []byte{1, 2, 3},
		Stamp: entry.Stamp{Wall: time.UnixMilli(-62135596800000).UTC(), Mono: 1000 * time.Hour, Trust: 9},
	}
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := entry.Parse(raw)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSizeIsBounded(t *testing.T) {
	fits := entry.Entry{Seq: 1, Body: make([]byte, entry.MaxSize-63)}
	raw, err := fits.Marshal()
	if err != nil || len(raw) != entry.MaxSize {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if _, err := entry.Parse(raw); err != nil {
		t.Error(err)
	}
	if _, err := entry.Parse(append(raw, 0)); !errors.Is(err, entry.ErrFormat) {
		t.Errorf("a byte more: %v", err)
	}
	fits.Body = append(fits.Body, 0)
	if _, err := fits.Marshal(); err == nil {
		t.Error("a byte more was encoded")
	}
}

func TestFollow(t *testing.T) {
	raws := chain(t, nil)
	head, err := (entry.Head{}).Follow(raws[0])
	if err != nil || head.Seq != 1 || head.Hash != entry.HashOf(raws[0]) {
		t.Fatalf("head %v, %v", head, err)
	}
	for name, c := range map[string]struct {
		head entry.Head
		raw  []byte
	}{
		"a gap":        {head, raws[2]},
		"once more":    {head, raws[0]},
		"another hash": {entry.Head{Seq: 1, Hash: entry.Hash{1}}, raws[1]},
		"no entry":     {head, raws[1][:62]},
	} {
		if after, err := c.head.Follow(c.raw); err == nil || after != c.head {
			t.Errorf("%s: %v, %v", name, after, err)
		}
	}
	changed := bytes.Clone(raws[1])
	changed[len(changed)-1] ^= 1
	after, err := head.Follow(changed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Follow(raws[2]); err == nil {
		t.Error("a changed body went unnoticed")
	}
}

func TestDecodeRefuses(t *testing.T) {
	undo, err := entry.NewDraft(entry.Stamp{}, entry.Undo{Seq: 4})
	if err != nil {
		t.Fatal(err)
	}
	e := entry.Entry{Kind: undo.Kind, Seq: 5, Body: undo.Body}
	if u, err := entry.Decode[entry.Undo](e); err != nil || u.Seq != 4 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := entry.Decode[entry.Boot](e); err == nil {
		t.Error("an undo was read as a boot")
	}
	for name, body := range map[string][]byte{
		"nothing":       {},
		"a byte after":  append(bytes.Clone(undo.Body), 0),
		"twice a key":   {0xa2, 0x01, 0x04, 0x01, 0x05},
		"an array":      {0x81, 0x04},
		"indefinite":    {0xbf, 0x01, 0x04, 0xff},
		"a tag":         {0xa1, 0x01, 0xc1, 0x04},
		"deeply nested": append([]byte{0xa1, 0x02}, bytes.Repeat([]byte{0x81}, 100)...),
	} {
		e.Body = body
		if u, err := entry.Decode[entry.Undo](e); err == nil {
			t.Errorf("%s: %+v", name, u)
		}
	}
	e.Body = []byte{0xa2, 0x01, 0x04, 0x18, 0x63, 0x01} // 99: 1, of a later version
	if u, err := entry.Decode[entry.Undo](e); err != nil || u.Seq != 4 {
		t.Errorf("a field of the future: %+v, %v", u, err)
	}
}

func TestSeal(t *testing.T) {
	key := authority(t)
	s, err := entry.NewSealer(key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	one, two := seal(t, s, nobody), seal(t, s, nobody)
	if bytes.Equal(one[4:], two[4:]) {
		t.Error("two seals of one person are alike")
	}
	if bytes.Contains(one, []byte("Nguy")) {
		t.Error("the name is in the sealed part")
	}
	longer := nobody
	longer.Name += "n"
	if len(seal(t, s, longer)) != len(one) {
		t.Error("the size tells the length of the name")
	}
	for i := range one {
		bad := bytes.Clone(one)
		bad[i] ^= 0x40
		if _, err := entry.Unseal(key, bad); err == nil {
			t.Fatalf("byte %d was changed, and it opens", i)
		}
		if _, err := entry.Unseal(key, one[:i]); err == nil {
			t.Fatalf("%d bytes open", i)
		}
	}
	other, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Unseal(other, one); !errors.Is(err, entry.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
}

func seal(t *testing.T, s *entry.Sealer, p entry.Personal) []byte {
	t.Helper()
	b, err := s.Seal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPersonalStaysOutOfLogs(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "person", nobody, "at", &nobody)
	fmt.Fprintf(&b, "%v %+v %s %v", nobody, nobody, nobody, &nobody)
	for _, word := range []string{"Nguy", "1990", "001090000001", "Linh"} {
		if strings.Contains(b.String(), word) {
			t.Errorf("%q in %s", word, &b)
		}
	}
}

func TestReceiptCheck(t *testing.T) {
	good := entry.NewReceipt(hubKey, device, entry.Head{Seq: 9, Hash: entry.Hash{1}}, time.UnixMilli(5))
	if err := good.Check(hubPub, device); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *entry.Receipt){
		"device": func(r *entry.Receipt) { r.Device = "x" },
		"seq":    func(r *entry.Receipt) { r.Seq++ },
		"hash":   func(r *entry.Receipt) { r.Hash = strings.Repeat("0", 64) },
		"at":     func(r *entry.Receipt) { r.At++ },
		"sig":    func(r *entry.Receipt) { r.Sig = bytes.Clone(r.Sig); r.Sig[0]++ },
		"no sig": func(r *entry.Receipt) { r.Sig = nil },
	} {
		r := good
		change(&r)
		if r.Check(hubPub, device) == nil || r.Check(hubPub, r.Device) == nil {
			t.Errorf("%s changed, and it holds", name)
		}
	}
	if _, err := (entry.Receipt{Hash: "12"}).Head(); err == nil {
		t.Error("a short hash was read")
	}
}

func TestNames(t *testing.T) {
	for _, s := range []string{"", "zz", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("g", 64)} {
		if h, err := entry.ParseHash(s); err == nil || h != (entry.Hash{}) {
			t.Errorf("hash %q: %v", s, h)
		}
	}
	h := entry.HashOf([]byte("x"))
	if got, err := entry.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	for s, d := range map[string]entry.Direction{"in": entry.In, "out": entry.Out} {
		if got, err := entry.ParseDirection(s); err != nil || got != d || d.String() != s {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if _, err := entry.ParseDirection("up"); err == nil {
		t.Error(`"up" is a direction`)
	}
	for want, got := range map[string]fmt.Stringer{
		"kind-0": entry.Kind(0), "kind-99": entry.Kind(99), "fault": entry.KindFault, "trust-9": entry.Trust(9),
		"network": entry.TrustNetwork, "verdict-0": entry.Verdict(0), "admit": entry.Admit, "direction-7": entry.Direction(7),
	} {
		if got.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// docs/FORMATS.md is the contract with other programs: it names every kind and every reason code.
func TestFormatsNamesEverything(t *testing.T) {
	doc, err := os.ReadFile("../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	for k := entry.KindPassage; k <= entry.KindFault; k++ {
		if want := fmt.Sprintf("| %d | %v |", k, k); !bytes.Contains(doc, []byte(want)) {
			t.Errorf("FORMATS.md lacks %q", want)
		}
	}
	reasons := reasonCodes(t)
	if len(reasons) < 20 {
		t.Fatalf("only %d reason codes found", len(reasons))
	}
	for _, r := range reasons {
		if !bytes.Contains(doc, []byte("| "+r+" |")) {
			t.Errorf("FORMATS.md lacks reason %q", r)
		}
	}
}

// reasonCodes reads the codes from the source.
func reasonCodes(t *testing.T) (codes []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "verdict.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(s.Type) == "Reason" {
			code, err := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	return codes
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 60)...))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := entry.Parse(raw)
		if err != nil {
			if !errors.Is(err, entry.ErrFormat) {
				t.Errorf("%v is no ErrFormat", err)
			}
			return
		}
		// Mono and Wall fold beyond some hundred million years; no kiosk stamps that.
		if again, err := e.Marshal(); err == nil && e.Mono >= 0 && e.Mono < 1<<60 && !bytes.Equal(again[31:], raw[31:]) {
			t.Errorf("%x became %x", raw, again)
		}
		entry.Decode[entry.Passage](e)
		entry.Decode[entry.Purge](e)
	})
}

func FuzzUnseal(f *testing.F) {
	key := authority(f)
	s, err := entry.NewSealer(key.PublicKey())
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.Seal(nobody)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add(good[:4])
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if p, err := entry.Unseal(key, sealed); err == nil && !reflect.DeepEqual(p, nobody) {
			t.Error("a forged part opens")
		}
	})
}
