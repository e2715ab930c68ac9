package hd1_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/hd1"
	"gatepost/storage/entry"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func trust(keys ...ed25519.PrivateKey) (t claim.Trust) {
	for _, k := range keys {
		t.Declarers = append(t.Declarers, k.Public().(ed25519.PublicKey))
	}
	return t
}

func declared() (claim.Person, claim.Declaration) {
	at := time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC)
	return claim.Person{Name: "Trần Thị Bích", Birth: "1990-05-17"}, claim.Declaration{
		Form: "shift", Version: 1, Answers: map[string]any{"ill": false, "days": 3, "line": "b"},
		Issued: at, Expires: at.Add(24 * time.Hour), Tail: "8912",
	}
}

// The key's seed is 32 bytes of 7: the vector that other programs check themselves against.
func ExampleIssue() {
	p, d := declared()
	text, err := hd1.Issue(key(7), p, d)
	fmt.Println(text, err)
	// Output: HD1:V7FE90220FFWTWGSLK/-4BA9%EG H2MTL07TG7BHRKBF31WBKESBF3OOBJ7C100000H:KN3D:8D%.CL/50F0OPC VDE+U2VC-FFDJ0XVD1/D0ECRJ0IUA6OSM7L-34TBD-VNN348XONPCEN0A:0QU0VY02I427BQHUJO5DEPH6A0EFW%34F4%S0QBWSQQ0OI12F*VP-TAC L649:-D 2IOC3DYL*HSCPP0/LOHVB.RD87L$S1DPX$N*VC6G1MGAJWH%N8 <nil>
}

func TestRoundTrip(t *testing.T) {
	p, d := declared()
	d.Declarer, d.Plate, p.QID = "Nguyễn Văn A", "", "162979388586171100"
	text, err := hd1.Issue(key(7), p, d)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := hd1.Parse(text, trust(key(1), key(7)))
	if !ok || !c.Verified || c.Reason != "" || c.Family != claim.HD1 {
		t.Fatalf("got %+v", c)
	}
	if c.Person.Name != p.Name || c.Person.Birth != "1990" || c.Person.QID != p.QID || c.Person.Number != "********8912" {
		t.Error("the person is another")
	}
	got := c.Declaration
	if got.Form != "shift" || got.Version != 1 || !got.Issued.Equal(d.Issued) || !got.Expires.Equal(d.Expires) || got.Declarer != d.Declarer || got.Tail != "8912" {
		t.Error("the declaration is another")
	}
	if got.Answers["ill"] != false || got.Answers["days"] != int64(3) || got.Answers["line"] != "b" {
		t.Errorf("answers are another: %v", got.Answers)
	}
}

func TestLeadingZeros(t *testing.T) {
	p, d := declared()
	p.QID, d.Tail = "007", "0012"
	text, err := hd1.Issue(key(7), p, d)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := hd1.Parse(text, trust(key(7))); c.Person.QID != "007" || c.Declaration.Tail != "0012" {
		t.Error("leading zeros are lost")
	}
}

func TestLongName(t *testing.T) {
	p, d := declared()
	d.Answers = map[string]any{"travel": false, "signs": false, "case": false, "abroad": false, "contact": false}
	for _, name := range []string{
		"Đỗ Ơ", "Nguyễn Hoàng Phương Thảo", "Công Tằng Tôn Nữ Thị Hoàng Anh", strings.TrimSpace(strings.Repeat("Nguyễn ", 12)),
	} {
		p.Name = name
		text, err := hd1.Issue(key(7), p, d)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > hd1.MaxText {
			t.Errorf("%d characters", len(text))
		}
		c, _ := hd1.Parse(text, trust(key(7)))
		got := c.Person.Name
		cut := strings.TrimSuffix(got, "…")
		if c.Reason != "" || !utf8.ValidString(got) || !strings.HasPrefix(claim.Fold(name), claim.Fold(cut)) {
			t.Errorf("%q is written as %q", name, got)
		}
		if cut == got && claim.Fold(got) != claim.Fold(name) {
			t.Errorf("%q is cut to %q without a mark", name, got)
		}
		if len(claim.Fold(name)) <= 26 && cut != got {
			t.Errorf("%q is cut to %q though it fits without accents", name, got)
		}
	}
}

// The longest text that Issue returns is what a version-10-M code holds, and no more.
func TestMaxText(t *testing.T) {
	for length, want := range map[int]int{hd1.MaxText: 10, hd1.MaxText + 1: 11} {
		code, err := encoder.Encoder_encode(hd1.Prefix+strings.Repeat("$", length-len(hd1.Prefix)), decoder.ErrorCorrectionLevel_M, nil)
		if err != nil || code.GetVersion().GetVersionNumber() != want {
			t.Errorf("%d characters: got version %v, %v", length, code.GetVersion(), err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	for want, change := range map[string]func(p *claim.Person, d *claim.Declaration){
		"no form":              func(_ *claim.Person, d *claim.Declaration) { d.Form = "" },
		"no name":              func(p *claim.Person, _ *claim.Declaration) { p.Name = "4711" },
		"no year of birth":     func(p *claim.Person, _ *claim.Declaration) { p.Birth = "" },
		"times are impossible": func(_ *claim.Person, d *claim.Declaration) { d.Expires = d.Issued },
		"no digits":            func(_ *claim.Person, d *claim.Declaration) { d.Tail = "x912" },
		"an answer":            func(_ *claim.Person, d *claim.Declaration) { d.Answers["x"] = 1.5 },
		"longer than the 311": func(_ *claim.Person, d *claim.Declaration) {
			for i := range 25 {
				d.Answers[fmt.Sprintf("question-%d", i)] = true
			}
		},
	} {
		p, d := declared()
		change(&p, &d)
		if text, err := hd1.Issue(key(7), p, d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, %v; want %q", text, err, want)
		}
	}
}

func TestReasons(t *testing.T) {
	p, d := declared()
	text, err := hd1.Issue(key(7), p, d)
	if err != nil {
		t.Fatal(err)
	}
	swapped := []byte(text) // two digits of the signature
	i := len(swapped) - 20
	for swapped[i] == swapped[i+3] {
		i--
	}
	swapped[i], swapped[i+3] = swapped[i+3], swapped[i]
	var bomb bytes.Buffer
	z := zlib.NewWriter(&bomb)
	z.Write(make([]byte, 100_000))
	z.Close()
	for name, test := range map[string]struct {
		text string
		want entry.Reason
	}{
		"good":           {text, ""},
		"checksum":       {string(swapped), entry.ReasonMalformed},
		"signature":      {hd1.Rewrap(text, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), entry.ReasonSignature},
		"claims":         {hd1.Rewrap(text, func(b []byte) []byte { return bytes.Replace(b, []byte("shift"), []byte("shaft"), 1) }), entry.ReasonSignature},
		"bytes after":    {hd1.Rewrap(text, func(b []byte) []byte { return append(b, 0) }), entry.ReasonMalformed},
		"signer":         {mustIssue(t, key(9)), entry.ReasonSigner},
		"half":           {text[:len(text)/2], entry.ReasonMalformed},
		"trailing digit": {text + "0", entry.ReasonMalformed},
		"trailing space": {text + " ", entry.ReasonMalformed},
		"trailing bytes": {hd1.Append(text, 0, 0), entry.ReasonMalformed},
		"small letters":  {"HD1:" + strings.ToLower(text[4:]), entry.ReasonMalformed},
		"empty":          {"HD1:", entry.ReasonMalformed},
		"bomb":           {hd1.Wrap(bomb.Bytes()), entry.ReasonMalformed},
		"long":           {"HD1:" + strings.Repeat("0", 4000), entry.ReasonMalformed},
	} {
		c, ok := hd1.Parse(test.text, trust(key(7)))
		if !ok || c.Reason != test.want || c.Verified != (test.want == "") {
			t.Errorf("%s: got %q (%s), want %q", name, c.Reason, c.Detail, test.want)
		}
		if test.want != "" && (c.Person != claim.Person{} || c.Declaration != nil) {
			t.Errorf("%s: names a person without a proof", name)
		}
	}
	if c, _ := hd1.Parse(hd1.Wrap(bomb.Bytes()), trust(key(7))); c.Detail != "not a zlib stream" {
		t.Errorf("a bomb is inflated as far as %q", c.Detail)
	}
	if _, ok := hd1.Parse("HD2:"+text[4:], trust(key(7))); ok {
		t.Error("HD2 is taken for HD1")
	}
}

func mustIssue(t *testing.T, k ed25519.PrivateKey) string {
	p, d := declared()
	text, err := hd1.Issue(k, p, d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func FuzzParse(f *testing.F) {
	p, d := declared()
	text, err := hd1.Issue(key(7), p, d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("HD1:")
	f.Add("HD1: 00 $%")
	f.Fuzz(func(t *testing.T, text string) {
		if c, ok := hd1.Parse(text, trust(key(7))); ok && c.Reason == "" && !c.Verified {
			t.Error("usable without a proof")
		}
	})
}

// What the signature covers is written by somebody trusted, and still read with limits.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{0xa0})
	f.Add(hd1.Payload(mustIssueF(f)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := hd1.Read(raw); err == nil && (c.Person.Name == "" || c.Declaration == nil) {
			t.Error("claims without a person")
		}
	})
}

func mustIssueF(f *testing.F) string {
	p, d := declared()
	text, err := hd1.Issue(key(7), p, d)
	if err != nil {
		f.Fatal(err)
	}
	return text
}
