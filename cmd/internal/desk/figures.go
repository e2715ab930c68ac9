package desk

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatepost/storage/view"
)

const (
	chartDays   = 14
	tableDays   = 7
	maxAlarms   = 20
	maxReleases = 20
)

// Figures are what the page shows, and what /figures.json serves. Days are "2021-10-21", times RFC 3339.
type Figures struct {
	Day      string     `json:"day"`
	AsOf     *time.Time `json:"as_of"` // when the hub stored the newest entry that is counted; null: none yet
	Gates    Share      `json:"gates"`
	Today    Count      `json:"today"`
	Total    Count      `json:"total"`
	Entries  int        `json:"entries"`
	Dateless int        `json:"dateless"`
	Areas    []Area     `json:"areas"`
	Days     []Day      `json:"days"` // the oldest first
	GateList []Gate     `json:"gate_list"`
	Alarms   []Alarm    `json:"alarms"`   // the newest first
	Releases []Release  `json:"releases"` // the newest first
}

// A Share is how many gates there are, and at how many somebody showed a code on the day.
type Share struct {
	Total   int `json:"total"`
	Scanned int `json:"scanned"`
}

// A Count is numbers of passages, those undone left out.
type Count struct {
	In         int `json:"admitted_in"`
	Out        int `json:"admitted_out"`
	Look       int `json:"look"`
	Refuse     int `json:"refuse"`
	Unreadable int `json:"unreadable"`
	Fault      int `json:"fault"`
	Unsure     int `json:"untrusted_clock"`
}

// An Area is the figures of one area: of the day, and admitted in on each of the last days, the oldest first.
type Area struct {
	Name  string `json:"area"`
	Gates Share  `json:"gates"`
	Today Count  `json:"today"`
	In    []int  `json:"admitted_in_by_day"`
}

// A Day is the passages of all areas on one day.
type Day struct {
	Day string `json:"day"`
	Count
}

// A Gate is one device.
type Gate struct {
	Device string     `json:"device"`
	Name   string     `json:"name"`
	Venue  string     `json:"venue"`
	Area   string     `json:"area"`
	Known  bool       `json:"known"`
	Begins uint64     `json:"begins,omitempty"`
	Last   *time.Time `json:"last_seen"` // by its own clock; null: nothing has come from it
	Today  Count      `json:"today"`
}

// An Alarm is a device that signed two entries with one sequence.
type Alarm struct {
	At     time.Time `json:"at"`
	Device string    `json:"device"`
	Name   string    `json:"name"`
	Seq    uint64    `json:"seq"`
	Ours   string    `json:"ours"`
	Theirs string    `json:"theirs"`
	Kind   string    `json:"kind,omitempty"` // "replaced": its place was taken, and it is still in use
}

// A Release is seals that were about to be opened for a case.
type Release struct {
	At      time.Time  `json:"at"`
	Record  uint64     `json:"record"`
	Case    string     `json:"case"`
	By      string     `json:"by"`
	Token   string     `json:"token"`
	Entries int        `json:"entries"`
	Gates   int        `json:"gates"`
	From    *time.Time `json:"from"` // null: no year from 2000 to 2199
	To      *time.Time `json:"to"`
}

// figures reads the view as it stands for the day of now. Areas come in the order that areas names, then by name.
func figures(ctx context.Context, v *view.View, now time.Time, areas []string) (*Figures, error) {
	days := lastDays(now, chartDays)
	f := &Figures{Day: v.Day(now), Areas: []Area{}, GateList: []Gate{}, Alarms: []Alarm{}, Releases: []Release{}}
	gates, err := v.Gates(ctx, f.Day)
	if err != nil {
		return nil, err
	}
	passages, err := v.Passages(ctx, days[0], days[len(days)-1])
	if err != nil {
		return nil, err
	}
	alarms, err := v.Alarms(ctx, maxAlarms)
	if err != nil {
		return nil, err
	}
	releases, err := v.Releases(ctx, maxReleases)
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		f.Releases = append(f.Releases, Release{r.At, r.Record, r.Case, r.By, r.Token, r.Entries, r.Devices, known(r.From), known(r.To)})
	}
	total, err := v.Total(ctx)
	if err != nil {
		return nil, err
	}
	if f.Gates.Scanned, err = v.GatesWithScan(ctx, f.Day); err != nil {
		return nil, err
	}
	f.Gates.Total, f.Entries, f.Dateless, f.Total = len(gates), total.Entries, total.Dateless, Count(total.Passages)
	f.AsOf = known(total.AsOf)
	f.addGates(gates)
	f.addAreas(gates, passages, days, areas)
	f.addDays(passages, days)
	f.addAlarms(alarms)
	return f, nil
}

// lastDays returns n days that end with the day of now.
func lastDays(now time.Time, n int) []string {
	days := make([]string, n)
	for i := range days {
		days[i] = now.AddDate(0, 0, i-n+1).Format(time.DateOnly)
	}
	return days
}

// known returns nil for a time that JSON cannot write or that nobody knows.
func known(t time.Time) *time.Time {
	if t.IsZero() || t.Year() < 2000 || t.Year() > 2199 {
		return nil
	}
	return &t
}

func (f *Figures) addGates(gates []view.Gate) {
	for _, g := range gates {
		f.GateList = append(f.GateList, Gate{
			g.Device, g.Name, g.Venue, g.Area, g.Known, g.Begins, known(g.Last), Count(g.Day),
		})
		f.Today = f.Today.plus(Count(g.Day))
	}
}

func (f *Figures) addAreas(gates []view.Gate, passages []view.AreaDay, days, order []string) {
	days = days[len(days)-tableDays:]
	at := map[string]*Area{}
	area := func(name string) *Area {
		if at[name] == nil {
			at[name] = &Area{Name: name, In: make([]int, len(days))}
		}
		return at[name]
	}
	for _, name := range order {
		area(name)
	}
	for _, g := range gates {
		a := area(g.Area)
		a.Gates.Total++
		a.Today = a.Today.plus(Count(g.Day))
		if g.Day.Scans() > 0 {
			a.Gates.Scanned++
		}
	}
	for _, p := range passages {
		if i := slices.Index(days, p.Day); i >= 0 {
			area(p.Area).In[i] += p.In
		}
	}
	for _, a := range at {
		f.Areas = append(f.Areas, *a)
	}
	slices.SortFunc(f.Areas, func(a, b Area) int {
		return cmp.Or(cmp.Compare(rank(a.Name, order), rank(b.Name, order)), cmp.Compare(a.Name, b.Name))
	})
}

// rank puts the named areas first, in their order, and the gates without an area last.
func rank(name string, order []string) int {
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	if name == "" {
		return len(order) + 1
	}
	return len(order)
}

func (f *Figures) addDays(passages []view.AreaDay, days []string) {
	for _, day := range days {
		f.Days = append(f.Days, Day{Day: day})
	}
	for _, p := range passages {
		if i := slices.Index(days, p.Day); i >= 0 {
			f.Days[i].Count = f.Days[i].plus(Count(p.Count))
		}
	}
}

func (f *Figures) addAlarms(alarms []view.Alarm) {
	for _, a := range alarms {
		name := ""
		if i := slices.IndexFunc(f.GateList, func(g Gate) bool { return g.Device == a.Device }); i >= 0 {
			name = f.GateList[i].Name
		}
		f.Alarms = append(f.Alarms, Alarm{a.At, a.Device, name, a.Seq, a.Ours, a.Theirs, a.Kind})
	}
}

func (c Count) plus(d Count) Count {
	return Count{
		c.In + d.In, c.Out + d.Out, c.Look + d.Look, c.Refuse + d.Refuse,
		c.Unreadable + d.Unreadable, c.Fault + d.Fault, c.Unsure + d.Unsure,
	}
}

// Scans returns how many times somebody showed a code.
func (c Count) Scans() int { return view.Count(c).Scans() }

// Percent is the share in whole hundredths, for the meter.
func (s Share) Percent() int { return s.Scanned * 100 / max(s.Total, 1) }
