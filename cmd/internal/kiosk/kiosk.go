// Package kiosk is the gate at work: lane by lane it takes what the sources read, understands it, decides,
// keeps the entry, and only then shows the verdict. No admitting face leaves this package before the
// journal's commit has returned.
//
// It owns no part: the journal, the memory, the clock and the sources are handed in and closed by its caller.
package kiosk

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/supervise"
	"gatepost/device/wall"
	"gatepost/scanner/admission"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
	"gatepost/sync/uplink"
)

// A Lane is a source of codes and the direction in which it lets people through.
type Lane struct {
	Name      string
	Source    string // as configured: "v4l:/dev/video0"
	Direction entry.Direction
	Schedule  Schedule // when it turns; empty: the guard alone turns it
	Turned    bool     // the guard has turned it: the schedule waits for its next time
	Open      func(context.Context) (Source, error)
}

// Options of a Kiosk. Everything is needed but Sealer, without which entries carry no personal part, and what may be nil or empty.
type Options struct {
	Program string // version, for the boot entry
	System  uint64 // release of the image; 0: there is none
	Venue   string
	Device  string
	Zone    *time.Location // of the venue: it says when a day ends
	Lanes   []Lane
	Journal *journal.Journal
	Memory  *memory.Memory
	Sealer  *entry.Sealer
	Clock   *wall.Clock
	Trust   credential.Trust
	Policy  admission.Policy
	Forms   form.Set
	Retain  time.Duration                                  // receipted entries older than this are deleted; 0 keeps them
	Aside   string                                         // the uplink's file of entries that the hub refused, which are kept; "": none
	Order   func(raw []byte) error                         // takes an order from a stick; nil: none is taken
	Bundle  func(dir string) error                         // takes an update's bundle from one; nil: none is taken
	Enrol   func(text string) (said guard.Said, part bool) // takes parts of enrolments; nil: they are unknown codes
	Lamp    func(guard.Face) error                         // lights the lamps, after the entry is durable
	Signal  func(guard.Shown)                              // is told of each verdict then, and waits for nothing; nil: nobody is
	Lock    *guard.Text                                    // what the turnstile does without power; nil: there is none
	Issuer  ed25519.PublicKey                              // whose badges count; nil: nobody's
	Shifts  func()                                         // is told when another guard takes over; nil: nobody is
	Test    func(context.Context) []guard.Check            // tries what stands beside the cameras; nil: there is nothing
	File    string                                         // holds the supervisor's settings; "": they do not outlive the run
	Note    string                                         // a file that tells the next boot which part hung; "": none does
	Log     *slog.Logger
}

// A Kiosk is one gate. It is a guard.Gate.
type Kiosk struct {
	Options
	lanes    []*lane
	repaired int // of the journal's repairs, how many are recorded; watch's own

	// turn lets one person at a time through, whatever the lane: what is remembered of somebody must not change
	// between the decision and the entry, nor the screen between the entry and the lamp.
	turn sync.Mutex
	lit  guard.Face // what the lamp shows

	rosters atomic.Pointer[roster.Set]

	mu       sync.Mutex // guards the rest, which is what the pages show; never held while anything is kept
	changed  chan struct{}
	shown    map[string]*guard.Shown // by lane
	recent   []recent
	pending  map[string]*pending // by lane
	shift    shift
	settings guard.Settings
	unlocked time.Time // until when the settings can be changed
	checked  []guard.Check
	passSlip string
	roll     map[string]inside // by a person's first key
	faults   map[string]string // by part
	uplink   uplink.State
	stick    string // how the stick in the port stands
	peers    map[string]guard.Peer
	queued   int       // entries that the journal is writing
	writing  time.Time // since when, without one of them having ended; zero: there are none
	decided  time.Time // when watch last had its turn
	booted   bool      // the journal has this run's first entry
	update   *guard.Text
}

const (
	maxRecent  = 20
	maxFault   = 500 // bytes of a fault's text in an entry
	pruneEvery = time.Hour
	slowWrite  = time.Second
	watchEvery = time.Second
)

// New returns a kiosk that knows what its journal tells of today.
func New(o Options) (*Kiosk, error) {
	k := &Kiosk{Options: o, changed: make(chan struct{}), shown: map[string]*guard.Shown{}, pending: map[string]*pending{}, faults: map[string]string{}, peers: map[string]guard.Peer{}, roll: map[string]inside{}, lit: guard.Ready}
	now := k.Clock.Stamp().Wall.In(k.Zone)
	for _, l := range o.Lanes {
		w := &lane{Lane: l, text: "starting"}
		if w.Turned {
			w.turned, _ = w.Schedule.last(now)
		}
		k.lanes = append(k.lanes, w)
	}
	k.shift.since = now
	if err := k.readSettings(); err != nil {
		return nil, err
	}
	if o.Sealer == nil {
		k.faults["seal"] = "no authority's key: who passes is not kept"
	}
	if err := k.replay(); err != nil {
		return nil, fmt.Errorf("read today's entries: %w", err)
	}
	return k, nil
}

// Run records the boot and works until ctx ends.
func (k *Kiosk) Run(ctx context.Context) {
	// Here and below, a journal that fails tells of itself.
	before := k.before()
	booted := k.kept(ctx, entry.Boot{Program: k.Program, Before: before})
	if booted && before != "" {
		os.Remove(k.Note)
	}
	k.change(func() { k.booted = booted })
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := k.Journal.Scrub(ctx); err != nil && ctx.Err() == nil {
			k.Log.Error("journal cannot be read whole", "error", err)
		}
	})
	wg.Go(func() { k.runLanes(ctx) })
	wg.Go(func() { k.watch(ctx) })
	wg.Wait()
}

// runLanes works at every lane until ctx ends.
func (k *Kiosk) runLanes(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range k.lanes {
		wg.Go(func() {
			supervise.Run(ctx, k.Log, "lane "+l.Name, func(ctx context.Context) error { return k.work(ctx, l) },
				func(err error) { k.setLane(ctx, l, false, err.Error()) })
		})
	}
	wg.Wait()
}

// watch looks at the lanes' health and prunes the journal, until ctx ends.
func (k *Kiosk) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, l := range k.lanes {
			k.checkLane(ctx, l)
			k.turnByClock(l)
		}
		k.forgetPending()
		k.lockSettings()
		k.Memory.Inside(k.when(k.Clock.Stamp())) // a day ends for the memory even when nobody comes
		for _, loss := range k.Memory.Losses() {
			k.Log.Warn("forgotten early", "what", loss)
		}
		k.retryJournal(ctx)
		k.mu.Lock()
		k.decided = time.Now()
		k.mu.Unlock()
		k.tellRepairs(ctx)
		if s := k.Clock.Stamp(); k.Retain > 0 && s.Trust >= entry.TrustClock && s.Wall.Sub(pruned) > pruneEvery {
			pruned = s.Wall
			if n, err := k.prune(ctx, s); err != nil {
				k.Log.Warn("old entries stay", "error", err)
			} else if n > 0 {
				k.Log.Info("old entries deleted", "entries", n)
			}
		}
	}
}

// prune deletes what is receipted and old, but for entries that the hub refused.
func (k *Kiosk) prune(ctx context.Context, now entry.Stamp) (n int, err error) {
	return k.Journal.Prune(ctx, now.Wall.Add(-k.Retain), now, func() ([]uint64, error) { return uplink.SetAside(k.Aside) })
}

// keep appends an entry and tells the guard when that fails. It returns the entry's sequence, or 0. What has
// begun is kept to the end, even if the page that asked for it has gone or the program is about to end.
func (k *Kiosk) keep(ctx context.Context, body entry.Body) (uint64, error) {
	ctx = context.WithoutCancel(ctx)
	d, err := entry.NewDraft(k.Clock.Stamp(), body)
	if err != nil {
		return 0, err
	}
	slow := time.AfterFunc(slowWrite, func() { k.setFault("disk", "thẻ nhớ chậm, hãy chờ · the disk is slow: an entry waits") })
	k.writes(1)
	e, err := k.Journal.Append(ctx, d)
	k.writes(-1)
	if slow.Stop() { // else the fault stands until a write is in time again
		k.setFault("disk", "")
	}
	if err != nil {
		k.journalFailed(ctx, d, err)
		return 0, fmt.Errorf("keep entry: %w", err)
	}
	if d.Kind == entry.KindPassage { // a full journal takes other kinds while it takes no passage
		k.setFault("journal", "")
	}
	return e.Seq, nil
}

// writes notes that the journal has n more entries to write. While one lane's entry hangs another's must not hide it, and
// one that ends says that the journal lives.
func (k *Kiosk) writes(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queued += n
	switch {
	case k.queued == 0:
		k.writing = time.Time{}
	case n < 0 || k.queued == 1:
		k.writing = time.Now()
	}
}

// kept is keep, for those who only want to know whether it was.
func (k *Kiosk) kept(ctx context.Context, body entry.Body) bool {
	_, err := k.keep(ctx, body)
	return err == nil
}

// journalFailed tells the guard that an entry was not kept and, when that is new, the journal itself: a full one has
// room left for that. One that cannot be written at all has not, and the log must do.
func (k *Kiosk) journalFailed(ctx context.Context, d entry.Draft, err error) {
	k.mu.Lock()
	stood := k.faults["journal"] != ""
	k.mu.Unlock()
	if k.setFault("journal", "the journal cannot be written: "+err.Error()) {
		k.Log.Error("entry was not kept", "kind", d.Kind, "error", err)
	}
	if !stood && errors.Is(err, journal.ErrFull) && d.Kind == entry.KindPassage {
		k.keepFault(ctx, entry.Fault{Part: "journal", Text: err.Error()})
	}
}

// keepFault keeps what befell a part. Its text may come from a driver or a hub and is cut, for an entry has its
// bounds; a journal that cannot keep it has a fault of its own by then.
func (k *Kiosk) keepFault(ctx context.Context, f entry.Fault) error {
	f.Text = cut(f.Text, maxFault)
	_, err := k.keep(ctx, f)
	return err
}

// retryJournal finds out whether a journal that could not be written can be again, without waiting for a person,
// and takes the fault off every lane's screen then: the next person may have come to another lane meanwhile.
func (k *Kiosk) retryJournal(ctx context.Context) {
	k.turn.Lock()
	defer k.turn.Unlock()
	k.mu.Lock()
	broken, standing := k.faults["journal"] != "", false
	for _, s := range k.shown {
		standing = standing || s.Verdict == entry.Failed
	}
	k.mu.Unlock()
	if broken && k.Journal.Ready(k.Clock.Stamp()) != nil {
		return
	}
	if broken && k.keepFault(ctx, entry.Fault{Part: "journal", Text: "written again", Clear: true}) != nil || !broken && !standing {
		return
	}
	k.setFault("journal", "")
	k.change(func() {
		maps.DeleteFunc(k.shown, func(_ string, s *guard.Shown) bool { return s.Verdict == entry.Failed })
	})
	k.light()
}

// tellRepairs records and shows what the journal had to repair since it was last asked.
func (k *Kiosk) tellRepairs(ctx context.Context) {
	repairs := k.Journal.Repairs()
	if len(repairs) == k.repaired {
		return
	}
	var doubt uint64
	for i, r := range repairs {
		doubt += r.InDoubt()
		if i >= k.repaired {
			k.Log.Error("journal repaired", "file", r.File, "why", r.Why, "from", r.First, "to", r.Last)
			k.keepFault(ctx, entry.Fault{Part: "journal", Text: fmt.Sprintf("repaired: %d entries in doubt; %s: %s", r.InDoubt(), r.File, r.Why)})
		}
	}
	k.repaired = len(repairs)
	k.setFault("repair", fmt.Sprintf("sổ đã được sửa, %d mục không chắc còn đủ · journal repaired: %d entries in doubt", doubt, doubt))
}

// SetUplink takes the uplink's news. An uplink that reaches the hub and agrees with it has no alarm left.
func (k *Kiosk) SetUplink(s uplink.State) {
	k.change(func() { k.uplink = s })
	if s.Online && s.Problem == "" {
		k.setFault("uplink", "")
	}
}

// Alarm records what the uplink must not keep to itself: a cloned card, an entry that the hub refuses.
func (k *Kiosk) Alarm(ctx context.Context, text string) {
	k.Log.Error("uplink alarm", "text", text)
	k.setFault("uplink", text)
	k.keepFault(ctx, entry.Fault{Part: "uplink", Text: text})
}

// setFault tells the guard of a part's fault, and reports whether it is news; an empty text clears it.
func (k *Kiosk) setFault(part, text string) (news bool) {
	k.mu.Lock()
	news = k.faults[part] != text
	k.mu.Unlock()
	if news {
		k.change(func() {
			if text == "" {
				delete(k.faults, part)
			} else {
				k.faults[part] = text
			}
		})
	}
	return news
}

// change makes f's change under the lock and wakes whoever waits for one.
func (k *Kiosk) change(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	close(k.changed)
	k.changed = make(chan struct{})
}
