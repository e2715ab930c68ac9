package qr

import (
	"slices"
	"testing"
	"unicode/utf8"
)

// field is a number of so many bits.
type field struct{ value, width int }

func pack(fields ...field) []byte {
	var out []byte
	at := 0
	for _, f := range fields {
		for i := f.width - 1; i >= 0; i-- {
			if at%8 == 0 {
				out = append(out, 0)
			}
			out[at/8] |= byte(f.value>>i&1) << (7 - at%8)
			at++
		}
	}
	return out
}

// eightBits is a byte segment of a version 1 code.
func eightBits(s string) []field {
	f := []field{{modeByte, 4}, {len(s), 8}}
	for _, c := range []byte(s) {
		f = append(f, field{int(c), 8})
	}
	return f
}

func concat(parts ...[]field) []field { return slices.Concat(parts...) }

func TestText(t *testing.T) {
	end := []field{{modeEnd, 4}}
	eci := func(n int) []field { return []field{{modeECI, 4}, {n, 8}} }
	for _, c := range []struct {
		name    string
		fields  []field
		version int
		want    string
	}{
		{"numeric, ISO/IEC 18004:2015, 7.4.3 example 1", []field{{modeNumeric, 4}, {8, 10}, {0b0000001100, 10}, {0b0101011001, 10}, {0b1000011, 7}, {0, 4}}, 1, "01234567"},
		{"alphanumeric, 7.4.4 example", []field{{modeAlphanumeric, 4}, {5, 9}, {0b00111001110, 11}, {0b11100111001, 11}, {0b000010, 6}, {0, 4}}, 1, "AC-42"},
		{"kanji, 7.4.6 example", []field{{modeKanji, 4}, {2, 8}, {0b0110110011111, 13}, {0b1101010101010, 13}, {0, 4}}, 1, "点茗"},
		{"one digit left", []field{{modeNumeric, 4}, {4, 10}, {7, 10}, {9, 4}, {0, 4}}, 1, "0079"},
		{"counts grow with version 10", []field{{modeNumeric, 4}, {2, 12}, {42, 7}, {0, 4}}, 10, "42"},
		{"and with version 27", []field{{modeNumeric, 4}, {2, 14}, {42, 7}, {0, 4}}, 27, "42"},
		{"no terminator", eightBits("ok"), 1, "ok"},
		{"UTF-8, undeclared", concat(eightBits("Nguyễn Văn A"), end), 1, "Nguyễn Văn A"},
		{"a letter cut by two segments", concat(eightBits("Nguy\xe1"), eightBits("\xbb\x85n"), end), 1, "Nguyễn"},
		{"Shift-JIS, undeclared", concat(eightBits("\x93\xfa\x96\x7b"), end), 1, "日本"},
		{"ISO 8859-1, undeclared", concat(eightBits("r\xe9sum\xe9"), end), 1, "résumé"},
		{"ISO 8859-1: Shift-JIS has no byte 80", concat(eightBits("a\x80b"), end), 1, "a\u0080b"},
		{"one charset for all undeclared bytes", concat(eightBits("\x93\xfa"), []field{{modeNumeric, 4}, {1, 10}, {7, 4}}, eightBits("\xb1"), end), 1, "日7ｱ"},
		{"ECI 26, UTF-8", concat(eci(26), eightBits("Bích"), end), 1, "Bích"},
		{"ECI 26 and bytes that are not", concat(eci(26), eightBits("a\xffb"), end), 1, "a\ufffdb"},
		{"ECI 3 beats valid UTF-8", concat(eci(3), eightBits("\xc3\xad"), end), 1, "Ã\u00ad"},
		{"ECI 25, UTF-16", concat(eci(25), eightBits("\x1e\xc5"), end), 1, "ễ"},
		{"a letter cut under ECI 25", concat(eci(25), eightBits("\x1e"), eightBits("\xc5"), end), 1, "ễ"},
		{"a letter cut under ECI 35", concat(eci(35), eightBits("\xc5\x1e"), eightBits("\x00\x00"), end), 1, "ễ"},
		{"a letter cut under ECI 29", concat(eci(29), eightBits("\xd6"), eightBits("\xd0"), end), 1, "中"},
		{"ECI 20, then 3", concat(eci(20), eightBits("\xb1"), eci(3), eightBits("\xb1"), end), 1, "ｱ±"},
		{"ECI of two bytes, unknown", concat([]field{{modeECI, 4}, {0x80 | 899>>8, 8}, {899 & 255, 8}}, eightBits("ễ"), end), 1, "ễ"},
		{"ECI of three bytes, UTF-8", concat([]field{{modeECI, 4}, {0xc0, 8}, {26, 16}}, eightBits("ễ"), end), 1, "ễ"},
		{"mixed modes in order", concat(eightBits("a"), []field{{modeNumeric, 4}, {1, 10}, {7, 4}}, eightBits("b"), end), 1, "a7b"},
		{"FNC1: % is GS and %% is %", []field{{modeFNC1First, 4}, {modeAlphanumeric, 4}, {4, 9}, {38*45 + 38, 11}, {38*45 + 1, 11}, {0, 4}}, 1, "%\x1d1"},
		{"no FNC1: % is %", []field{{modeAlphanumeric, 4}, {2, 9}, {38*45 + 38, 11}, {0, 4}}, 1, "%%"},
		{"FNC1 in second position, a number", concat([]field{{modeFNC1Second, 4}, {7, 8}}, eightBits("x"), end), 1, "07x"},
		{"FNC1 in second position, a letter", concat([]field{{modeFNC1Second, 4}, {100 + 'a', 8}}, eightBits("x"), end), 1, "ax"},
		{"hanzi", []field{{modeHanzi, 4}, {1, 4}, {1, 8}, {(0xd6-0xa6)*0x60 + 0xd0 - 0xa1, 13}, {0, 4}}, 1, "中"},
		{"nothing", end, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parse(pack(c.fields...), c.version)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(s.parts); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for name, fields := range map[string][]field{
		"three digits over 999":       {{modeNumeric, 4}, {3, 10}, {1000, 10}},
		"two digits over 99":          {{modeNumeric, 4}, {2, 10}, {100, 7}},
		"one digit over 9":            {{modeNumeric, 4}, {1, 10}, {10, 4}},
		"numeric cut":                 {{modeNumeric, 4}, {1000, 10}, {1, 10}},
		"pair of letters":             {{modeAlphanumeric, 4}, {2, 9}, {45 * 45, 11}},
		"last letter":                 {{modeAlphanumeric, 4}, {1, 9}, {45, 6}},
		"alphanumeric cut":            {{modeAlphanumeric, 4}, {400, 9}, {1, 11}},
		"bytes cut":                   {{modeByte, 4}, {3, 8}, {'a', 8}, {'b', 8}},
		"kanji cut":                   {{modeKanji, 4}, {3, 8}, {1, 13}},
		"hanzi of another subset":     {{modeHanzi, 4}, {2, 4}, {0, 8}},
		"unknown mode":                {{0xf, 4}, {0, 12}},
		"ECI of no length":            {{modeECI, 4}, {0xff, 8}},
		"ECI cut":                     {{modeECI, 4}, {0xc0, 8}, {0, 4}},
		"append cut":                  {{modeAppend, 4}, {0, 4}},
		"no application of that kind": {{modeFNC1Second, 4}, {255, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := parse(pack(fields...), 1); err == nil {
				t.Errorf("read as %q", text(s.parts))
			}
		})
	}
}

func TestStructuredAppend(t *testing.T) {
	piece := func(place, parity int, s string) symbol {
		got, err := parse(pack(concat([]field{{modeAppend, 4}, {place, 8}, {parity, 8}}, eightBits(s))...), 1)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, second, third := piece(0x02, 7, "Nguy\xe1"), piece(0x12, 7, "\xbb\x85n "), piece(0x22, 7, "A")
	alone, err := parse(pack(eightBits("B")...), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		found []symbol
		want  []string
	}{
		{"a whole set in any order", []symbol{third, alone, first, second}, []string{"Nguyễn A", "B"}},
		{"one is missing", []symbol{third, alone}, []string{"A", "B"}},
		{"one of another set", []symbol{first, piece(0x12, 8, "x"), third}, []string{"Nguyá", "x", "A"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			equal(t, texts(codes(c.found)), c.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pack(eightBits("Nguyễn Văn A")...), 1)
	f.Add(pack(field{modeNumeric, 4}, field{8, 10}, field{12, 10}, field{345, 10}, field{67, 7}), 1)
	f.Add(pack(concat([]field{{modeAppend, 4}, {0x12, 8}, {7, 8}, {modeECI, 4}, {20, 8}}, eightBits("\x93\xfa"))...), 10)
	f.Add(pack(field{modeFNC1First, 4}, field{modeAlphanumeric, 4}, field{4, 9}, field{38*45 + 38, 11}, field{1, 11}), 27)
	f.Add(pack(field{modeKanji, 4}, field{1, 8}, field{300, 13}, field{modeHanzi, 4}, field{1, 4}, field{1, 8}, field{300, 13}), 9)
	f.Fuzz(func(t *testing.T, data []byte, version int) {
		s, err := parse(data, version)
		if err != nil {
			return
		}
		if got := text(s.parts); !utf8.ValidString(got) || len(got) > 12*len(data) {
			t.Errorf("%d bytes gave %d bytes, valid: %v", len(data), len(got), utf8.ValidString(got))
		}
	})
}

func codes(all []symbol) (cs []code) {
	for _, s := range all {
		cs = append(cs, code{symbol: s})
	}
	return cs
}
