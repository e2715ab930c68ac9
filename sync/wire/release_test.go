package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const release = `{"case":"2021-117","by":"person","from":1,"to":2,"devices":[{"device":"0123456789abcdef","first":3,"last":9,"entries":7}]}`

func TestParseRelease(t *testing.T) {
	r, err := ParseRelease([]byte(release))
	if err != nil || r.Case != "2021-117" || r.Entries() != 7 || r.Devices[0].Last != 9 {
		t.Fatalf("%+v, %v", r, err)
	}
	many := strings.Repeat(`{"device":"0123456789abcdef","first":3,"last":9,"entries":7},`, MaxReleased)
	for was, is := range map[string]string{
		`2021-117`:               "-117",
		`"2021-117"`:             `""`,
		`2021`:                   strings.Repeat("2", 37),
		`117`:                    "Đ",
		`"person"`:               `"name"`,
		`"to":2`:                 `"to":1`,
		`"case"`:                 `"name":"Trần Thị Bích","case"`,
		`[{`:                     `[],"x":[{`,
		`"devices":`:             `"devices":[],"devices":[],"y":`,
		`0123456789abcdef`:       "0123456789ABCDEF",
		`0123456789abcde`:        "0123",
		`"first":3`:              `"first":0`,
		`"first":3,"last":9`:     `"first":9,"last":3`,
		`"entries":7`:            `"entries":8`,
		`"entries":7}`:           `"entries":0}`,
		`"by"`:                   `"token":"x","by"`,
		`]}`:                     `]}{}`,
		`"last":9`:               `"last":-9`,
		`[{"device"`:             `[` + many + `{"device"`,
		`{"case":"2021-117","by`: strings.Repeat(" ", MaxRelease) + `{"case":"2021-117","by`,
	} {
		if text := strings.Replace(release, was, is, 1); text == release {
			t.Errorf("%q is not in it", was)
		} else if r, err := ParseRelease([]byte(text)); err == nil {
			t.Errorf("%.80q in the place of %q was taken: %+v", is, was, r)
		}
	}
	full := strings.Replace(release, `[{"device"`, `[`+strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"device":"%016x","first":%d,"last":%d,"entries":1},`, 1, uint64(1<<63), uint64(1<<63)), MaxReleased-1), ",")+`,{"device"`, 1)
	if _, err := ParseRelease([]byte(full)); err != nil {
		t.Errorf("%d devices in %d bytes: %v", MaxReleased, len(full), err)
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(release))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseRelease(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := ParseRelease(again); err != nil || fmt.Sprint(s) != fmt.Sprint(r) {
			t.Errorf("%+v became %+v, %v", r, s, err)
		}
	})
}
