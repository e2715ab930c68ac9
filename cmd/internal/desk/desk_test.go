package desk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"gatepost/storage/entry"
	"gatepost/storage/view"
	"gatepost/sync/wire"
	"gatepost/sync/wire/wiretest"
)

// pass appends a batch of n equal passages of a device.
func pass(t *testing.T, l *wiretest.Log, device byte, wall time.Time, d entry.Direction, v entry.Verdict, n int) {
	t.Helper()
	bodies := make([]entry.Body, n)
	for i := range bodies {
		bodies[i] = entry.Passage{Lane: "a", Direction: d, Verdict: v}
	}
	l.Batch(t, device, entry.Stamp{Wall: wall, Trust: entry.TrustClock}, bodies...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var hanoi = func() *time.Location {
	z, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		panic(err)
	}
	return z
}()

var noon = time.Date(2021, 10, 21, 12, 0, 0, 0, hanoi)

// unfed makes a desk over an empty view.
func unfed(t *testing.T, places map[string]view.Place) *Desk {
	t.Helper()
	v, err := view.Open(t.Context(), filepath.Join(t.TempDir(), "view.db"), hanoi)
	must(t, err)
	must(t, v.SetPlaces(t.Context(), places))
	d, err := New(Options{
		View: v, Zone: hanoi, Now: func() time.Time { return noon.Add(time.Hour) }, Name: "Huyện Mê Linh <mẫu>",
		Areas: []string{"Quang Minh", "Thanh Lâm", "Đại Thịnh"}, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(func() { v.Close() })
	return d
}

// open makes a desk that follows log until the test ends.
func open(t *testing.T, log Log, places map[string]view.Place) *Desk {
	t.Helper()
	d := unfed(t, places)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Follow(ctx, log, d.opt.View, d.Changed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

// figuresOf asks the desk until good is content with what it shows.
func figuresOf(t *testing.T, d *Desk, good func(Figures) bool) (f Figures) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		d.mu.Lock()
		news := d.news
		d.mu.Unlock()
		_, body := get(t, d, "/figures.json")
		f = Figures{}
		must(t, json.Unmarshal([]byte(body), &f))
		if good(f) {
			return f
		}
		pause(t.Context(), news, time.Second)
	}
	t.Fatalf("the desk never showed it; at last %+v", f)
	return f
}

func get(t *testing.T, d *Desk, path string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	return w.Result(), w.Body.String()
}

// sample is a morning at four gates, one of which nobody has used, and the days before.
func sample(t *testing.T) (*wiretest.Log, map[string]view.Place) {
	m := wiretest.New("e1", noon)
	for day := 13; day >= 0; day-- {
		at := noon.AddDate(0, 0, -day).Add(-4 * time.Hour)
		pass(t, m, 1, at, entry.In, entry.Admit, 90+(day*37)%61)
		pass(t, m, 1, at, entry.Out, entry.Admit, 60+(day*23)%40)
		pass(t, m, 2, at, entry.In, entry.Admit, 40+(day*17)%33)
		pass(t, m, 2, at, entry.In, entry.Look, 3)
	}
	pass(t, m, 3, noon, entry.In, entry.Refuse, 2)
	m.Add(wire.Record{Alarm: &wire.Alarm{Device: wiretest.ID(2), Seq: 7, Ours: "aa", Theirs: "bb"}})
	m.Add(wire.Record{Release: &wire.Release{
		Case: "2021-117", By: wire.ByPerson, From: noon.Add(-time.Hour).UnixMilli(), To: noon.UnixMilli(), Token: "0a1b2c3d",
		Devices: []wire.Released{{Device: wiretest.ID(1), First: 3, Last: 9, Entries: 4}, {Device: wiretest.ID(2), First: 1, Last: 1, Entries: 1}},
	}})
	return m, map[string]view.Place{
		wiretest.ID(1): {Name: "Chợ Thanh Lâm", Venue: "Cổng chính", Area: "Thanh Lâm"},
		wiretest.ID(2): {Name: "Trường THCS Quang Minh", Venue: "Cổng A", Area: "Quang Minh"},
		wiretest.ID(3): {Name: "Nhà máy <b>1</b>", Area: "Quang Minh"},
		wiretest.ID(4): {Name: "Trạm y tế", Area: "Tiền Phong"},
	}
}

func TestFigures(t *testing.T) {
	m, places := sample(t)
	d := open(t, m, places)
	f := figuresOf(t, d, func(f Figures) bool { return len(f.Alarms) == 1 })
	if f.Day != "2021-10-21" || f.Gates != (Share{4, 3}) || !f.AsOf.Equal(noon) {
		t.Errorf("day %s, gates %+v, as of %v", f.Day, f.Gates, f.AsOf)
	}
	if want := (Count{In: 130, Out: 60, Look: 3, Refuse: 2}); f.Today != want {
		t.Errorf("today %+v, want %+v", f.Today, want)
	}
	var areas []string
	for _, a := range f.Areas {
		areas = append(areas, fmt.Sprintf("%s %d/%d %d", a.Name, a.Gates.Scanned, a.Gates.Total, a.In[len(a.In)-1]))
	}
	if got, want := fmt.Sprint(areas), "[Quang Minh 2/2 40 Thanh Lâm 1/1 90 Đại Thịnh 0/0 0 Tiền Phong 0/1 0]"; got != want {
		t.Errorf("areas %s, want %s", got, want)
	}
	if n := len(f.Days); n != 14 || f.Days[0].Day != "2021-10-08" || f.Days[13].In != 130 {
		t.Errorf("%d days from %+v to %+v", n, f.Days[0], f.Days[n-1])
	}
	want := Release{At: noon, Case: "2021-117", By: "person", Token: "0a1b2c3d", Entries: 5, Gates: 2}
	f = figuresOf(t, d, func(f Figures) bool { return len(f.Releases) == 1 })
	got := f.Releases[0]
	if got.From == nil || !got.From.Equal(noon.Add(-time.Hour)) || got.To == nil || !got.To.Equal(noon) || got.Record != 59 {
		t.Errorf("release %+v", got)
	}
	if want.Record, want.From, want.To, got.At = got.Record, got.From, got.To, noon; got != want {
		t.Errorf("release %+v, want %+v", got, want)
	}
	if f.Alarms[0].Name != "Trường THCS Quang Minh" || f.Alarms[0].Seq != 7 {
		t.Errorf("alarm %+v", f.Alarms[0])
	}
}

// A replaced unit that is still in use is an alarm, and not called cloned.
func TestAlarmOfAReplacedUnit(t *testing.T) {
	m := wiretest.New("e1", noon)
	m.Add(wire.Record{Alarm: &wire.Alarm{Device: wiretest.ID(2), Seq: 7, Ours: "aa", Theirs: "bb", Kind: wire.AlarmReplaced}})
	d := open(t, m, nil)
	f := figuresOf(t, d, func(f Figures) bool { return len(f.Alarms) == 1 })
	if f.Alarms[0].Kind != wire.AlarmReplaced {
		t.Errorf("%+v", f.Alarms[0])
	}
	if _, page := get(t, d, "/"); !strings.Contains(page, "was replaced and is still in use") || strings.Contains(page, "cloned") {
		t.Errorf("the page says:\n%s", page)
	}
}

func TestPage(t *testing.T) {
	m, places := sample(t)
	d := open(t, m, places)
	figuresOf(t, d, func(f Figures) bool { return len(f.Alarms) == 1 })
	figuresOf(t, d, func(f Figures) bool { return len(f.Releases) == 1 })
	res, page := get(t, d, "/")
	for _, want := range []string{
		"2021-117", "21/10/2021 11:00:00 – 21/10/2021 12:00:00", "0a1b2c3d",
		"21/10/2021", "21/10/2021 12:00:00", "75,0 %", `role="alert"`, "Nhà máy &lt;b&gt;1&lt;/b&gt;", "Huyện Mê Linh &lt;mẫu&gt;",
		"Gates with a scan today", "2 / 2", "the memory card was cloned or rolled back",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	// What the policy forbids would silently not work.
	if bad := regexp.MustCompile(`<script>|\sstyle=|<style|\son\w+=|https?://`).FindString(page); bad != "" {
		t.Errorf("the page carries %q", bad)
	}
	for _, ref := range regexp.MustCompile(`(?:href|src)="([^"#]+)"`).FindAllStringSubmatch(page, -1) {
		if res, _ := get(t, d, "/"+ref[1]); res.StatusCode != http.StatusOK || strings.HasPrefix(ref[1], "/") {
			t.Errorf("%s: %d; it must be there, and relative so that a proxy may add a prefix", ref[1], res.StatusCode)
		}
	}
}

func TestEmptyPage(t *testing.T) {
	d := open(t, wiretest.New("e1", noon), nil)
	res, page := get(t, d, "/")
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "No gate yet") || strings.Contains(page, `role="alert"`) {
		t.Errorf("answer %d: %s", res.StatusCode, page)
	}
}

// An open page hears of news; the figures that it then fetches are the new ones.
func TestEvents(t *testing.T) {
	m := wiretest.New("e1", noon)
	d := open(t, m, nil)
	s := httptest.NewServer(d.Handler())
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/events", nil)
	res, err := s.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	next := func() {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			must(t, err)
			if line == "event: figures\n" {
				return
			}
		}
	}
	next()
	pass(t, m, 1, noon, entry.In, entry.Admit, 2)
	figuresOf(t, d, func(f Figures) bool { return f.Today.In == 2 })
	next()
}

func TestTooManyPages(t *testing.T) {
	d := open(t, wiretest.New("e1", noon), nil)
	d.waiting = maxListeners
	if res, _ := get(t, d, "/events"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answer %d", res.StatusCode)
	}
}

func TestBrokenViewIsSaid(t *testing.T) {
	d := unfed(t, nil)
	must(t, d.opt.View.Close())
	if res, body := get(t, d, "/"); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "sql") {
		t.Errorf("answer %d %q", res.StatusCode, body)
	}
}

func TestMidnight(t *testing.T) {
	m := wiretest.New("e1", noon)
	pass(t, m, 1, noon, entry.In, entry.Admit, 2)
	d := open(t, m, nil)
	figuresOf(t, d, func(f Figures) bool { return f.Today.In == 2 })
	d.opt.Now = func() time.Time { return noon.Add(12 * time.Hour) }
	if f := figuresOf(t, d, func(Figures) bool { return true }); f.Day != "2021-10-22" || f.Today.In != 0 || f.Days[12].In != 2 {
		t.Errorf("after midnight: %s, today %+v, yesterday %+v", f.Day, f.Today, f.Days[12])
	}
}

// A view of a log that is gone shows nothing of it, and a record that cannot be read does not stop the rest.
func TestFollowAnotherLog(t *testing.T) {
	v, err := view.Open(t.Context(), filepath.Join(t.TempDir(), "view.db"), hanoi)
	must(t, err)
	defer v.Close()
	for _, c := range []struct {
		epoch   string
		entries int
	}{{"e1", 5}, {"e1", 5}, {"e2", 3}} {
		m := wiretest.New(c.epoch, noon)
		m.Add(wire.Record{Raw: []byte("torn")})
		pass(t, m, 1, noon, entry.In, entry.Admit, c.entries)
		ctx, cancel := context.WithCancel(t.Context())
		must(t, Follow(ctx, until{m, cancel}, v, func() {}))
		if total, err := v.Total(t.Context()); err != nil || total.Entries != c.entries {
			t.Errorf("log %s: %d entries, %v, want %d", c.epoch, total.Entries, err, c.entries)
		}
	}
	if err := Follow(t.Context(), failing{wiretest.New("e1", noon)}, v, nil); err == nil || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a log that cannot be read: %v", err)
	}
}

// until ends the following once everything has been read.
type until struct {
	*wiretest.Log
	end func()
}

func (u until) Wait(ctx context.Context, after uint64) error {
	if _, last, err := u.Read(ctx, after, 0); err != nil || after == last {
		u.end()
	}
	return u.Log.Wait(ctx, after)
}

type failing struct{ *wiretest.Log }

func (failing) Read(context.Context, uint64, int) ([]wire.Record, uint64, error) {
	return nil, 0, io.ErrUnexpectedEOF
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1.000", 271227: "271.227", -1000: "-1.000", -100: "-100", 1234567: "1.234.567"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
	for _, c := range []struct {
		part, whole int
		want        string
	}{{69505, 605000, "11,5 %"}, {0, 0, "–"}, {0, 9, "0,0 %"}, {2, 3, "66,7 %"}, {9, 9, "100,0 %"}} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("share(%d, %d) = %q, want %q", c.part, c.whole, got, c.want)
		}
	}
	for n, want := range map[int]int{0: 2, 2: 2, 3: 4, 5: 6, 11: 20, 22: 30, 190: 200, 6700: 8000} {
		if got := roundUp(n); got != want {
			t.Errorf("roundUp(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestChartFits(t *testing.T) {
	days := make([]Day, chartDays)
	days[3].In, days[3].Out = 6700, 3300
	c := draw(days)
	for i, b := range c.Bars {
		if b.OutY < plotTop || b.InY+b.InH != b.Base || b.OutY+b.OutH != b.InY || b.X+b.W > chartWidth {
			t.Errorf("bar %d %+v leaves the plot", i, b)
		}
	}
	if b := c.Bars[3]; b.OutY != plotTop || b.InH*33 < b.OutH*66 || b.Number != "10.000" {
		t.Errorf("highest bar %+v", b)
	}
}
