package paper

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gatepost/scanner/credential/claim"
)

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		in, want claim.Person
		keys     []string
	}{
		{
			claim.Person{Name: "  Nguye\u0302\u0303n  Văn Đạt ", Birth: "07/02/1961", Number: "001 061 000 317"},
			claim.Person{Name: "Nguyễn Văn Đạt", Birth: "1961-02-07", Number: "001061000317"},
			[]string{"id:001061000317", "tail:NGUYEN VAN DAT|1961|0317"},
		},
		{claim.Person{Slip: " k-0042 ", Address: "left out"}, claim.Person{Slip: "K-0042"}, []string{"slip:K-0042"}},
		{claim.Person{Name: "Hòa", Birth: "1990"}, claim.Person{Name: "Hòa", Birth: "1990"}, nil},
	} {
		got, err := Write(c.in)
		if err != nil || got.Person != c.want || got.Family != claim.Paper || got.Verified || !slices.Equal(got.Keys(), c.keys) {
			t.Errorf("%#v, keys %q, %v", struct{ claim.Person }{got.Person}, got.Keys(), err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for what, p := range map[string]claim.Person{
		"a name without end":       {Name: strings.Repeat("a", maxName+1)},
		"a bell in the name":       {Name: "A\aB"},
		"a day that never was":     {Name: "A", Birth: "30/02/1990"},
		"words for a birth":        {Name: "A", Birth: "ninety"},
		"a number with a letter":   {Number: "00106100031x"},
		"a number of eight digits": {Number: "12345678"},
		"a slip with a quote":      {Slip: `4"2`},
	} {
		_, err := Write(p)
		if err == nil || errors.Is(err, ErrNobody) || p.Number != "" && strings.Contains(err.Error(), p.Number) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Write(claim.Person{Name: "  ", Birth: "1990"}); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody: %v", err)
	}
}
