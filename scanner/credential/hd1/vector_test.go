package hd1_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/hd1"
)

var update = flag.Bool("update", false, "write the vectors anew")

// A vector is a declaration as it was put in, the code that it gives, and what is read of that.
type vector struct {
	What     string         `json:"what"`
	Name     string         `json:"name"`
	Year     string         `json:"year"`
	Tail     string         `json:"tail,omitempty"`
	QID      string         `json:"qid,omitempty"`
	Form     string         `json:"form"`
	Answers  map[string]any `json:"answers"`
	Declarer string         `json:"declarer,omitempty"`
	Plate    string         `json:"plate,omitempty"`
	Code     string         `json:"code"`
	Reads    string         `json:"reads"` // the name in the code, NFC
}

type vectors struct {
	Public  string   `json:"public"` // the declarer's Ed25519 key, hexadecimal
	Issued  int64    `json:"issued"`
	Expires int64    `json:"expires"`
	Vectors []vector `json:"vectors"`
}

// What is written in FORMATS.md of names, tails and who declares for whom: other programs hold their own reading against
// these.
func TestVectors(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	pub := key.Public().(ed25519.PublicKey)
	v := vectors{Public: hex.EncodeToString(pub), Issued: 1_795_400_000, Expires: 1_795_440_000, Vectors: []vector{
		{What: "đ, and letters in pieces", Name: "Nguye\u0302\u0303n Va\u0306n Đa\u0323t", Year: "1961", Tail: "0317"},
		{What: "capitals without accents, by a QID", Name: "TRAN THI BICH", Year: "1987", QID: "162979388586171100"},
		{What: "a tail that begins with zeros", Name: "Lê Thị Hòa", Year: "1990", Tail: "0042"},
		{What: "declared by a daughter", Name: "Phạm Văn Sáu", Year: "1940", Tail: "8912", Declarer: "Phạm Thị Bảy"},
		{What: "a vehicle", Name: "Hoàng Văn Nam", Year: "1980", Tail: "0123", Plate: "29C-123.45"},
		{What: "a long name loses its accents", Name: "Công Tằng Tôn Nữ Thị Hường Nguyễn Bảo", Year: "1975", Tail: "0123"},
		{What: "a longer one is cut", Name: "Công Tằng Tôn Nữ Thị Hường Nguyễn Phúc Bảo Đại Khánh Ngọc Huyền Trân Thiên Hương Mỹ Lệ", Year: "1975", Tail: "0123"},
	}}
	for i := range v.Vectors {
		v.Vectors[i].fill(t, key, v)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "vectors.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the vectors have changed:\n%s", got)
	}
}

// fill issues the declaration and reads it back.
func (v *vector) fill(t *testing.T, key ed25519.PrivateKey, all vectors) {
	t.Helper()
	v.Form, v.Answers = "covid-2021/1", map[string]any{"signs": false, "travel": true}
	var err error
	v.Code, err = hd1.Issue(key, claim.Person{Name: v.Name, Birth: v.Year, QID: v.QID}, claim.Declaration{
		Form: "covid-2021", Version: 1, Answers: v.Answers, Issued: time.Unix(all.Issued, 0), Expires: time.Unix(all.Expires, 0),
		Declarer: v.Declarer, Plate: v.Plate, Tail: v.Tail,
	})
	if err != nil {
		t.Fatalf("%s: %v", v.What, err)
	}
	c, ok := hd1.Parse(v.Code, claim.Trust{Declarers: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}})
	d := c.Declaration
	if !ok || !c.Verified || d.Declarer != v.Declarer || d.Plate != v.Plate || d.Tail != v.Tail || c.Person.QID != v.QID || c.Person.Birth != v.Year {
		t.Fatalf("%s: %s %s", v.What, c.Reason, c.Detail)
	}
	v.Reads = c.Person.Name
	if len(v.Code) > hd1.MaxText {
		t.Errorf("%s: %d characters", v.What, len(v.Code))
	}
}
