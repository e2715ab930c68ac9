package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// Invented people.
var (
	bich     = entry.Personal{Family: "cccd", Name: "Trần Thị Bích", Birth: "1990-05-01", Number: "001190001234", Address: "Thôn\x1b[31m 1\u202e, Mê Linh"}
	bichHD1  = entry.Personal{Family: "hd1", Name: "TRAN THI BI…", Birth: "1990", Number: "********1234", QID: "QID000111", Plate: "29A-00001"}
	an       = entry.Personal{Family: "cccd", Name: "Lê Văn An", Birth: "1985", Number: "001085005678"}
	dung     = entry.Personal{Family: "cccd", Name: "Phạm Đức Dũng", Number: "001075009999"}
	namesake = entry.Personal{Family: "cccd", Name: "Trấn Thị Bích", Number: "001190777777"}
)

// tracing is a world with a market and a school, and a morning there. The school's kiosk knew no time when it started.
func tracing(t *testing.T) *pullWorld {
	t.Helper()
	w := newPullWorld(t)
	market, school := w.gate(t, "market"), w.gate(t, "school")
	id := func(k ed25519.PrivateKey) string { return entry.DeviceID(k.Public().(ed25519.PublicKey)) }
	w.places = []pull.Device{
		{ID: id(market), Name: "Cổng 1", Venue: "Chợ Thanh Lâm", Area: "Mê Linh"}, {ID: id(school), Venue: "Trường Quang Minh"},
	}
	at := func(minute int) entry.Stamp {
		return entry.Stamp{Wall: time.Date(2021, 10, 21, 0, minute, 0, 0, time.UTC), Trust: entry.TrustClock} // 07:00 in Hà Nội
	}
	refused := w.passage(t, dung)
	refused.Verdict = entry.Refuse
	head := entry.Head{Seq: 3}
	fatal(t, w.put(t.Context(), market, &head, at(0), w.passage(t, bich)))                            // entry 4
	fatal(t, w.put(t.Context(), market, &head, at(5), w.passage(t, an), refused, w.passage(t, dung))) // 5 to 7
	fatal(t, w.put(t.Context(), market, &head, at(6), entry.Undo{Seq: 7}))
	head = entry.Head{}
	fatal(t, w.put(t.Context(), school, &head, entry.Stamp{Mono: time.Minute}, w.passage(t, bichHD1)))
	clock := at(40)
	clock.Mono = 11 * time.Minute // so that the boot began at 07:29
	fatal(t, w.put(t.Context(), school, &head, clock, entry.Fault{Part: "clock", Clear: true}, w.passage(t, namesake)))
	return w
}

// trace runs the command for a morning.
func (w *pullWorld) trace(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	args = append([]string{
		"trace", "-hub", w.url, "-token", w.path("token"), "-ca", w.path("ca.pem"), "-key", w.path("authority.key"),
		"-devices", w.path("devices"), "-case", "2021-117", "-from", "2021-10-21T06:00", "-to", "2021-10-21",
	}, args...)
	code = run(ctx, env{strings.NewReader(""), &o, &e}, args)
	return code, o.String(), e.String()
}

// releases returns what the hub's log says of releases.
func (w *pullWorld) releases(t *testing.T) (all []wire.Release) {
	t.Helper()
	records, _, err := w.hub.Read(t.Context(), 0, 1000)
	fatal(t, err)
	for _, r := range records {
		if r.Release != nil {
			all = append(all, *r.Release)
		}
	}
	return all
}

func TestTrace(t *testing.T) {
	w := tracing(t)
	market, school := w.places[0].ID, w.places[1].ID
	for i, c := range []struct {
		name   string
		args   []string
		seqs   string // shown: device's first digit, sequence
		opened string // of the hub's record
	}{
		{"a venue", []string{"-venue", "cho  thanh lâm"}, "market 4, market 5", "place market 4-5 2"},
		{"a gate's name", []string{"-venue", "CỔNG 1"}, "market 4, market 5", "place market 4-5 2"},
		{"whoever stood there", []string{"-device", market, "-all"}, "market 4, market 5, market 6, market 7", "place market 4-7 4"},
		{"both", []string{"-device", school, "-venue", "Chợ Thanh Lâm"}, "market 4, market 5, school 1, school 3", "place market 4-5 2 school 1-3 2"},
		{"a window", []string{"-device", market, "-device", school, "-from", "2021-10-21T07:05:00+07:00", "-to", "2021-10-21T07:40"}, "market 5, school 1", "place market 5-5 1 school 1-1 1"},
		{"a name", []string{"-name", "tran  thi BÍCH"}, "market 4, school 1, school 3", "person market 4-5 2 school 1-3 2"},
		{"a number", []string{"-id", "0011 9000 1234"}, "market 4, school 1", "person market 4-5 2 school 1-3 2"},
		{"a unified code", []string{"-id", "qid000111"}, "school 1", "person market 4-5 2 school 1-3 2"},
		{"both of a person", []string{"-name", "Trần Thị Bích", "-id", "001190777777"}, "school 3", "person market 4-5 2 school 1-3 2"},
		{"nobody of that name", []string{"-name", "Nguyễn Thị Bích"}, "", "person market 4-5 2 school 1-3 2"},
		{"a number's end", []string{"-id", "1234"}, "school 1", "person market 4-5 2 school 1-3 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := w.trace(t.Context(), append(c.args, "-json")...)
			var got []string
			for line := range strings.Lines(out) {
				var p traced
				fatal(t, json.Unmarshal([]byte(line), &p))
				got = append(got, fmt.Sprintf("%s %d", map[string]string{market: "market", school: "school"}[p.Device], p.Seq))
			}
			if code != exitOK || strings.Join(got, ", ") != c.seqs {
				t.Errorf("status %d, %v, want %s; %s", code, got, c.seqs, errs)
			}
			all := w.releases(t)
			if len(all) != i+1 {
				t.Fatalf("%d releases", len(all))
			}
			r := all[i]
			record := r.By
			for _, d := range r.Devices {
				record += fmt.Sprintf(" %s %d-%d %d", map[string]string{market: "market", school: "school"}[d.Device], d.First, d.Last, d.Entries)
			}
			if record != c.opened || r.Case != "2021-117" || len(r.Token) != 8 || !strings.Contains(errs, "case 2021-117, token "+r.Token) {
				t.Errorf("the hub recorded %q, want %q; %s", record, c.opened, errs)
			}
			if raw, err := json.Marshal(r); err != nil || strings.Contains(strings.ToLower(string(raw)), "bich") || strings.Contains(string(raw), "001") && !strings.Contains(market+school, "001") {
				t.Errorf("the hub was told of a person: %s", raw)
			}
		})
	}
}

func TestTraceShows(t *testing.T) {
	w := tracing(t)
	code, out, _ := w.trace(t.Context(), "-name", "Trần Thị Bích", "-id", "001190001234")
	const want = `TIME                 GATE                  LANE  WAY  VERDICT  NAME           BIRTH       NUMBER                  PLATE      ADDRESS
2021-10-21 07:00:00  Chợ Thanh Lâm Cổng 1  a     in   admit    Trần Thị Bích  1990-05-01  001190001234            -          Thôn�[31m 1�, Mê Linh
2021-10-21 07:30:00  Trường Quang Minh     a     in   admit    TRAN THI BI…   1990        ********1234 QID000111  29A-00001  -
`
	if code != exitOK || out != want {
		t.Errorf("status %d\n%s\nwant\n%s", code, out, want)
	}
	code, out, _ = w.trace(t.Context(), "-id", "QID000111", "-json")
	const line = `{"time":"2021-10-21T07:30:00+07:00","sure":true,"device":"%s","venue":"Trường Quang Minh","seq":1,"lane":"a","direction":"in","verdict":"admit",` +
		`"personal":{"family":"hd1","verified":false,"reason":"","name":"TRAN THI BI…","birth":"1990","number":"********1234","qid":"QID000111","plate":"29A-00001"}}` + "\n"
	if code != exitOK || out != fmt.Sprintf(line, w.places[1].ID) {
		t.Errorf("status %d, %s", code, out)
	}
}

// A clock that nobody trusts may be wrong: who lies outside by it is counted, and who lies inside is marked.
func TestTraceWithoutAClock(t *testing.T) {
	w := tracing(t)
	code, out, errs := w.trace(t.Context(), "-name", an.Name) // the three entries of gate-1 are of the year 1
	if code != exitOK || !strings.Contains(errs, "3 passages whose time nobody knows") || strings.Count(out, "\n") != 2 {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	lost := w.gate(t, "gate-3")
	var head entry.Head
	fatal(t, w.put(t.Context(), lost, &head, entry.Stamp{Wall: time.Date(2021, 10, 21, 1, 0, 0, 0, time.UTC), Trust: entry.TrustSeen}, w.passage(t, an)))
	id := entry.DeviceID(lost.Public().(ed25519.PublicKey))
	if code, out, _ := w.trace(t.Context(), "-device", id); code != exitOK || !strings.Contains(out, "~2021-10-21 08:00:00  "+id) {
		t.Errorf("status %d, %s", code, out)
	}
}

// What the hub does not acknowledge is not opened; and when it is asked, nothing has been shown yet.
func TestTraceWaitsForTheHub(t *testing.T) {
	w := tracing(t)
	honest := w.handler
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
	}{
		{"not stored", func(out http.ResponseWriter) { wire.Problem{Title: "not stored", Status: 503}.Write(out) }},
		{"another area", func(out http.ResponseWriter) { wire.Problem{Title: "areas", Status: 403}.Write(out) }},
		{"an older hub", func(out http.ResponseWriter) { wire.Problem{Title: "no such page", Status: 404}.Write(out) }},
		{"a proxy's page", func(out http.ResponseWriter) { fmt.Fprint(out, "welcome") }},
		{"another case", func(out http.ResponseWriter) {
			out.WriteHeader(201)
			fmt.Fprint(out, `{"case":"2021-118","record":7,"token":"0a1b2c3d"}`)
		}},
		{"gone", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				if r.URL.Path == wire.PathReleases {
					c.answer(out)
				} else {
					honest.ServeHTTP(out, r)
				}
			}))
			code, out, errs := w.trace(t.Context(), "-venue", "Chợ Thanh Lâm")
			if code != exitFail || out != "" || !strings.Contains(errs, "nothing was opened") || len(w.releases(t)) != 0 {
				t.Errorf("status %d, %s, %s", code, out, errs)
			}
		})
	}
	var out, errs bytes.Buffer
	asked := false
	w.serve(http.HandlerFunc(func(o http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathReleases {
			if asked = true; out.Len() > 0 {
				t.Error("something was shown before the hub was asked")
			}
		}
		honest.ServeHTTP(o, r)
	}))
	code := run(t.Context(), env{strings.NewReader(""), &out, &errs}, []string{
		"trace", "-hub", w.url, "-token", w.path("token"), "-ca", w.path("ca.pem"), "-key", w.path("authority.key"),
		"-case", "7", "-from", "2021-10-21", "-to", "2021-10-21", "-device", w.places[0].ID,
	})
	if code != exitOK || !asked || !strings.Contains(out.String(), "Trần Thị Bích") {
		t.Errorf("status %d, asked %v, %s, %s", code, asked, &out, &errs)
	}
}

func TestTraceFails(t *testing.T) {
	w := tracing(t)
	fatal(t, keyfile.Create(w.dir, "another", keyfile.Authority))
	market := w.places[0].ID
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no case", []string{"-device", market, "-case", ""}, exitUsage, "-case is needed"},
		{"an odd case", []string{"-device", market, "-case", "../117"}, exitUsage, "-case is needed"},
		{"no key", []string{"-device", market, "-key", ""}, exitUsage, "-key are needed"},
		{"in clear", []string{"-device", market, "-hub", "http://127.0.0.1:1"}, exitUsage, "in clear"},
		{"nobody and nowhere", nil, exitUsage, "a place is needed"},
		{"no such time", []string{"-device", market, "-to", "noon"}, exitUsage, "times such as"},
		{"backwards", []string{"-device", market, "-to", "2021-10-20"}, exitUsage, "-to is not after -from"},
		{"no device", []string{"-device", "gate-1"}, exitUsage, "16 hexadecimal digits"},
		{"an empty venue", []string{"-venue", " "}, exitUsage, "it is empty"},
		{"a short number", []string{"-id", "12-3"}, exitUsage, "at least 4"},
		{"more words", []string{"-device", market, "more"}, exitUsage, "nothing but flags"},
		{"no such venue", []string{"-venue", "Bến xe"}, exitFail, `at a venue "Bến xe"`},
		{"nobody in the window", []string{"-device", market, "-from", "2021-10-20", "-to", "2021-10-20"}, exitOK, "nothing is opened, and nothing is recorded"},
		{"no such key", []string{"-device", market, "-key", w.path("none.key")}, exitFail, "none.key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := w.trace(t.Context(), c.args...)
			if code != c.code || !strings.Contains(errs, c.says) || out != "" {
				t.Errorf("status %d, %q, want %d, %q; %s", code, errs, c.code, c.says, out)
			}
		})
	}
	if n := len(w.releases(t)); n != 0 {
		t.Errorf("%d releases were recorded", n)
	}
	code, out, errs := w.trace(t.Context(), "-device", market, "-key", w.path("another.key"))
	if code != exitOK || strings.Count(out, "\n") != 1 || !strings.Contains(errs, "2 passages cannot be opened with this key") {
		t.Errorf("another authority's key: status %d, %s, %s", code, out, errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, out, _ := w.trace(ctx, "-device", market); code != exitFail || out != "" {
		t.Errorf("interrupted: status %d, %s", code, out)
	}
}

// Nothing is opened or recorded from a log that ends inside a batch.
func TestTraceOfACutLog(t *testing.T) {
	w := tracing(t)
	w.cutInside()
	code, out, errs := w.trace(t.Context(), "-device", w.places[0].ID)
	if code != exitFail || out != "" || !strings.Contains(errs, "the log ends inside a batch of device "+w.places[1].ID) || len(w.releases(t)) != 0 {
		t.Errorf("status %d, %s, %s, %d releases", code, out, errs, len(w.releases(t)))
	}
}
