package credential_test

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gatepost/scanner/corpustest"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

const (
	card     = "012345678912|123456789|Nguyễn Văn A|01011990|Nam|Số 1, Hà Nội|01012022"
	personal = "001093029317|TRAN THI BICH|1987-01-18|0|162979388586171100|<2<00<0900000000"
	bhyt     = "0123456789|%s|01/01/1990|1|-|01 - C54|01/07/2021|-|31/07/2021|01050123456789|-|4| 01/10/2025|0000000000000000-0000|4|5175|$"
)

func insured(name string) string { return fmt.Sprintf(bhyt, hex.EncodeToString([]byte(name))) }

// field returns text with its i-th field replaced.
func field(text string, i int, value string) string {
	f := strings.Split(text, "|")
	f[i] = value
	return strings.Join(f, "|")
}

func parse(text string) credential.Claims { return credential.Parse(text, credential.Trust{}) }

func TestPeople(t *testing.T) {
	a := credential.Person{Name: "Nguyễn Văn A", Birth: "1990-01-01", Sex: "male", Number: "012345678912", Address: "Số 1, Hà Nội"}
	woman, born, old, noAddress := a, a, a, a
	woman.Sex, born.Birth, noAddress.Address = "female", "1950", ""
	b := credential.Person{Name: "TRAN THI BICH", Birth: "1987-01-18", Sex: "female", Number: "001093029317", QID: "162979388586171100"}
	starred := b
	starred.Number, starred.Birth = "******029317", "1987"
	noExt := b
	noExt.Sex = ""
	for name, test := range map[string]struct {
		text     string
		family   credential.Family
		want     credential.Person
		doubtful bool
	}{
		"seven fields":      {card, "cccd", a, false},
		"eleven fields":     {card + "||||", "cccd", a, false},
		"relatives":         {card + "|Nguyễn Văn B|Trần Thị C|x|y|z", "cccd", a, false},
		"six fields":        {"012345678912|Nguyễn Văn A|01011990|Nam|Số 1, Hà Nội|01012022", "cccd", a, true},
		"no old number":     {field(card, 1, ""), "cccd", a, false},
		"old of 12 digits":  {field(card, 1, "123456789012"), "cccd", old, false},
		"NFD":               {field(card, 2, "Nguye\u0302\u0303n Va\u0306n A"), "cccd", a, false},
		"spaces":            {field(card, 2, " Nguyễn  Văn A "), "cccd", a, false},
		"line end":          {card + "\r\n", "cccd", a, false},
		"woman":             {field(card, 4, "Nữ"), "cccd", woman, false},
		"woman in NFD":      {field(card, 4, "Nu\u031b\u0303"), "cccd", woman, false},
		"a year alone":      {field(card, 3, "1950"), "cccd", born, false},
		"no address":        {field(card, 5, ""), "cccd", noAddress, false},
		"personal":          {personal, "personal", b, false},
		"by another":        {field(personal, 3, "1"), "personal", b, false},
		"starred":           {field(field(personal, 0, "******029317"), 2, "1987-**-**"), "personal", starred, false},
		"without extension": {strings.Join(strings.Split(personal, "|")[:5], "|"), "personal", noExt, false},
		"insured": {
			insured("Nguyễn Văn A"), "bhyt",
			credential.Person{Name: "Nguyễn Văn A", Birth: "1990-01-01", Sex: "male", Number: "0123456789"},
			false,
		},
		"insured, old number": {
			field(field(field(insured("Trần Thị Bích"), 0, "HS4010123456789"), 2, "2009"), 3, "2"), "bhyt",
			credential.Person{Name: "Trần Thị Bích", Birth: "2009", Sex: "female", Number: "HS4010123456789"},
			false,
		},
	} {
		c := parse(test.text)
		if c.Reason != "" || c.Family != test.family || c.Doubtful != test.doubtful || c.Verified || c.Declaration != nil {
			t.Errorf("%s: got %+v", name, c)
		}
		if c.Person != test.want {
			t.Errorf("%s: got %q, want %q", name, fields(c.Person), fields(test.want))
		}
	}
}

// fields shows a person of a test, whom fmt alone would hide.
func fields(p credential.Person) []string {
	return []string{p.Name, p.Birth, p.Sex, p.Number, p.QID, p.Address}
}

func TestReasons(t *testing.T) {
	for text, want := range map[string]struct {
		family credential.Family
		reason entry.Reason
		detail string
	}{
		"":                        {"unknown", entry.ReasonUnknown, "empty"},
		"hello":                   {"unknown", entry.ReasonUnknown, "no known kind of code"},
		"a|b|c":                   {"unknown", entry.ReasonUnknown, "no known kind of code"},
		"\xff\xfe|x":              {"unknown", entry.ReasonUnknown, "binary"},
		"a\x00b":                  {"unknown", entry.ReasonUnknown, "binary"},
		strings.Repeat("a", 4297): {"unknown", entry.ReasonUnknown, "longer than 4296 bytes"},
		strings.Repeat("|", 4000): {"unknown", entry.ReasonUnknown, "no known kind of code"},
		"012345678912":            {"unknown", entry.ReasonUnknown, "no known kind of code"},
		"012345678912|x":          {"cccd", entry.ReasonMalformed, "too few fields"},
		strings.Join(strings.Split(card, "|")[:5], "|"): {"cccd", entry.ReasonMalformed, "too few fields"},
		field(card, 0, "01234567891"):                   {"cccd", entry.ReasonMalformed, "the number is not 12 digits"},
		field(card, 1, "12345"):                         {"cccd", entry.ReasonMalformed, "the old number is not 9 or 12 digits"},
		field(card, 2, ""):                              {"cccd", entry.ReasonMalformed, "no name in its place"},
		field(card, 2, "4711"):                          {"cccd", entry.ReasonMalformed, "no name in its place"},
		field(card, 2, "<script>"):                      {"cccd", entry.ReasonMalformed, "no name in its place"},
		field(card, 3, "30021990"):                      {"cccd", entry.ReasonMalformed, "no date of birth in its place"},
		field(card, 3, "29021900"):                      {"cccd", entry.ReasonMalformed, "no date of birth in its place"},
		field(card, 4, "X"):                             {"cccd", entry.ReasonMalformed, "no sex in its place"},
		field(card, 5, strings.Repeat("a", 600)):        {"cccd", entry.ReasonMalformed, "the address is too long"},
		field(card, 6, "31042022"):                      {"cccd", entry.ReasonMalformed, "no date of issue in its place"},
		field(personal, 0, "00|1"):                      {"unknown", entry.ReasonUnknown, "no known kind of code"},
		field(personal, 0, "00-1"):                      {"personal", entry.ReasonMalformed, "the number has characters that no card's has"},
		field(personal, 1, ""):                          {"personal", entry.ReasonMalformed, "no name in its place"},
		field(personal, 2, "1987-02-29"):                {"personal", entry.ReasonMalformed, "no date of birth in its place"},
		field(personal, 4, ""):                          {"personal", entry.ReasonMalformed, "the QID is not 6 to 32 digits"},
		field(insured("A"), 1, "zz"):                    {"bhyt", entry.ReasonMalformed, "no name in its place"},
		field(insured("A"), 2, "31/02/1990"):            {"bhyt", entry.ReasonMalformed, "no date of birth in its place"},
		field(insured("A"), 3, "3"):                     {"bhyt", entry.ReasonMalformed, "no sex in its place"},
		field(insured("A"), 4, "xx"):                    {"bhyt", entry.ReasonMalformed, "no address in its place"},
		field(insured("A"), 6, "31/06/2021"):            {"bhyt", entry.ReasonMalformed, "a date that no calendar has"},
		field(insured("A"), 0, "123"):                   {"bhyt", entry.ReasonMalformed, "the number is neither 10 digits nor 2 letters and 13 digits"},
		insured("A\xff"):                                {"bhyt", entry.ReasonMalformed, "no name in its place"},
		strings.TrimSuffix(insured("A"), "|$"):          {"bhyt", entry.ReasonMalformed, "not 16 fields and a dollar sign"},
		"https://qr.pccovid.gov.vn/abc":                 {"venue", entry.ReasonNotPerson, "the code of a place"},
		"HTTPS://QR.PCCOVID.GOV.VN/ABC":                 {"venue", entry.ReasonNotPerson, "the code of a place"},
		"https://example.org/?a=|b":                     {"known", entry.ReasonNotPerson, "web address"},
		"00020101021138":                                {"known", entry.ReasonNotPerson, "payment code"},
		"WIFI:T:WPA;S:x;;":                              {"known", entry.ReasonNotPerson, "Wi-Fi access"},
		"HC1:NCFOXN":                                    {"hc1", entry.ReasonMalformed, "not a zlib stream"},
		"shc:/567":                                      {"shc", entry.ReasonMalformed, "an odd number of digits"},
		"shlink:/eyJ":                                   {"known", entry.ReasonKnown, "SMART Health Link"},
		"eyJhbGciOiJFUzI1NiJ9.e30.AA":                   {"known", entry.ReasonKnown, "JSON Web Token"},
		"NZCP:/1/2KCE":                                  {"known", entry.ReasonKnown, "New Zealand COVID Pass"},
		`{"data":{"hdr":{"t":"icao.vacc"}}}`:            {"known", entry.ReasonKnown, "ICAO Visible Digital Seal (VDS-NC)"},
		`{"data":1}`:                                    {"unknown", entry.ReasonUnknown, "no known kind of code"},
		"PK\x03\x04\x14\x00":                            {"known", entry.ReasonKnown, "DIVOC certificate"},
		"HD1:!":                                         {"hd1", entry.ReasonMalformed, "not base45"},
	} {
		c := parse(text)
		if c.Family != want.family || c.Reason != want.reason || c.Detail != want.detail {
			t.Errorf("%.40q: got %s, %s, %q", text, c.Family, c.Reason, c.Detail)
		}
		if (c.Person != credential.Person{}) || c.Verified || c.Keys() != nil {
			t.Errorf("%.40q names a person", text)
		}
	}
}

func TestKeys(t *testing.T) {
	tail := "tail:NGUYEN VAN A|1990|8912"
	declared := func(p credential.Person) credential.Claims {
		return credential.Claims{Family: "hd1", Verified: true, Person: p}
	}
	for name, test := range map[string]struct {
		claims credential.Claims
		want   []string
	}{
		"card":           {parse(card), []string{"id:012345678912", tail}},
		"six fields":     {parse("012345678912|NGUYEN VAN A|01011990|Nam|x|01012022"), []string{"id:012345678912", tail}},
		"personal":       {parse(personal), []string{"qid:162979388586171100"}},
		"insured":        {parse(insured("Nguyễn Văn A")), []string{"bhyt:0123456789"}},
		"tail":           {declared(credential.Person{Name: "nguyễn  văn a", Birth: "1990", Number: "********8912"}), []string{tail}},
		"qid":            {declared(credential.Person{Name: "A", Birth: "1990", Number: "********8912", QID: "7"}), []string{"qid:7"}},
		"neither":        {declared(credential.Person{Name: "A", Birth: "1990"}), nil},
		"a hidden tail":  {declared(credential.Person{Name: "A", Birth: "1990", Number: "****"}), nil},
		"without a year": {declared(credential.Person{Name: "A", Number: "8912"}), nil},
		"no proof":       {credential.Claims{Family: "cccd", Reason: entry.ReasonMalformed, Person: credential.Person{Number: "1"}}, nil},
	} {
		if got := test.claims.Keys(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestFold(t *testing.T) {
	for name, want := range map[string]string{
		"Đỗ đình Đức": "DO DINH DUC", "Ðỗ": "DO", "Nguye\u0302\u0303n  Thị Hoà": "NGUYEN THI HOA", "Ưng Ơ": "UNG O", "NGUYEN VAN A": "NGUYEN VAN A",
	} {
		if got := claim.Fold(name); got != want {
			t.Errorf("%q is folded to %q, not %q", name, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for want, p := range map[string]credential.Person{
		"Khương 75 …317":  {Name: "Đỗ Văn Khương", Birth: "1975-01-31", Number: "001075029317"},
		"Khuong 75":       {Name: "DO VAN KHUONG", Birth: "1975", Number: "*********"},
		"Đào …317":        {Name: "TRẦN THỊ ĐÀO", Number: "******029317"},
		"A 90":            {Name: "Nguyễn Văn A", Birth: "1990"},
		"Nguyễnnguyễ… 90": {Name: strings.Repeat("NGUYỄN", 9), Birth: "1990"},
		"":                {},
	} {
		if got := p.Short(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Whatever prints or logs a person or a declaration shows neither.
func TestRedacted(t *testing.T) {
	c := parse(card)
	c.Declaration = &credential.Declaration{Plate: "29A-12345", Tail: "8912", Declarer: "Nguyễn", Answers: map[string]any{"q": "Nguyễn"}}
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("x", "person", c.Person, "claims", c, "declaration", c.Declaration)
	logger = slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "person", c.Person, "claims", c, "declaration", c.Declaration)
	fmt.Fprintf(&log, "%v %+v %#v %s %v %#v", c.Person, c, c, c.Person, c.Declaration, *c.Declaration)
	for _, secret := range []string{"Nguy", "012345678912", "8912", "29A", "1990", "Hà Nội"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is printed in %s", secret, log.String())
		}
	}
}

// rows splits a table into its rows, without comments and heading.
func rows(text string) (list [][]string) {
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimRight(line, "\r"); line != "" && line[0] != '#' {
			list = append(list, strings.Split(line, "\t"))
		}
	}
	return list[1:]
}

func TestCorpus(t *testing.T) {
	for name, family := range map[string]credential.Family{"cccd-qr.tsv": "cccd", "pccovid-personal-qr.tsv": "personal", "bhyt-qr.tsv": "bhyt"} {
		samples := rows(string(corpustest.Read(t, "vietnam", name)))
		if len(samples) == 0 {
			t.Errorf("%s is empty", name)
		}
		for i, row := range samples {
			c := parse(row[len(row)-1])
			if c.Family != family || c.Reason != "" || c.Person.Name == "" || len(c.Keys()) == 0 {
				t.Errorf("%s, row %d: got %s, %s, %q", name, i+1, c.Family, c.Reason, c.Detail)
			}
			if doubtful := family == "cccd" && row[1] == "6"; c.Doubtful != doubtful {
				t.Errorf("%s, row %d: doubtful is %v", name, i+1, c.Doubtful)
			}
		}
	}
	if c := parse(strings.TrimSpace(string(corpustest.Read(t, "vietnam", "VAC_VN.hc1.txt")))); c.Family != "hc1" || c.Reason != entry.ReasonSigner {
		t.Errorf("the vaccine passport is %s, %s", c.Family, c.Reason)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{card, card + "||||", personal, insured("Nguyễn Văn A"), "HD1:BB8", "https://x", "PK\x03\x04", "000201"} {
		f.Add(seed)
	}
	families := append(credential.Families(), credential.Venue, credential.Known, credential.Unknown)
	reasons := []entry.Reason{"", entry.ReasonUnknown, entry.ReasonKnown, entry.ReasonNotPerson, entry.ReasonMalformed, entry.ReasonSignature, entry.ReasonSigner}
	f.Fuzz(func(t *testing.T, text string) {
		c := parse(text)
		if !slices.Contains(families, c.Family) || !slices.Contains(reasons, c.Reason) {
			t.Errorf("family %q, reason %q", c.Family, c.Reason)
		}
		if c.Verified || c.Reason == "" && (c.Person.Name == "" || c.Person.Year() == "" || len(c.Keys()) == 0) {
			t.Error("a usable claim without a person, or a proof without trust")
		}
		c.Person.Short()
	})
}
