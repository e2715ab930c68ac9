// Package guard is what the guard sees and does: the state of the gate as plain data, the four faces of a
// verdict, and the console, a page for the local network that shows them live and takes the guard's answers.
//
// The console gets verdicts, never the camera's picture, and no more of a person than Shown.Who.
package guard

import (
	"context"
	"slices"
	"time"

	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

// Face is one of the four pictures of a verdict, or Ready.
type Face string

const (
	Ready  Face = "ready"
	Go     Face = "go"
	Stop   Face = "stop"
	Ask    Face = "ask"
	Broken Face = "broken"
)

// FaceOf returns the face of a verdict.
func FaceOf(v entry.Verdict) Face {
	switch v {
	case entry.Admit:
		return Go
	case entry.Refuse:
		return Stop
	case entry.Look, entry.Unreadable:
		return Ask
	}
	return Broken
}

// gravity orders the faces, so that one lamp for several lanes never says less than it must.
var gravity = []Face{Ready, Go, Ask, Stop, Broken}

// Graver reports whether a must be seen before b.
func Graver(a, b Face) bool { return slices.Index(gravity, a) > slices.Index(gravity, b) }

// Hold returns how long the face of a verdict stands before the gate is ready again; "already in" is an Ask
// with a time of its own. Zero means until it is mended.
func Hold(v entry.Verdict, r entry.Reason) time.Duration {
	switch {
	case v == entry.Admit:
		return time.Second
	case r == entry.ReasonDuplicate:
		return 2 * time.Second
	case v == entry.Failed:
		return 0
	}
	return 4 * time.Second
}

// Text is one sentence in the two languages of the gate.
type Text struct {
	VI string `json:"vi"`
	EN string `json:"en"`
}

// Words returns the sentence of a verdict.
func Words(r entry.Reason, v entry.Verdict, d entry.Direction) Text {
	switch {
	case v == entry.Admit && d == entry.Out:
		return Text{"Tạm biệt", "Goodbye"}
	case v == entry.Admit:
		return Text{"Mời vào", "Please come in"}
	}
	vi, en := admission.Words(r)
	return Text{vi, en}
}

// State is everything that a page of the gate shows. Docs for its figures stand in PRODUCT's terms: Saved is
// the entries kept here, Unsent those of them without the hub's receipt.
type State struct {
	Venue    string     `json:"venue"`
	Device   string     `json:"device"`
	Zone     string     `json:"zone"` // the venue's time zone, "Asia/Ho_Chi_Minh"
	Lanes    []Lane     `json:"lanes"`
	Shown    []Shown    `json:"shown"`         // the verdicts that stand now, one a lane
	Ask      *Question  `json:"ask,omitempty"` // the questions that wait for an answer
	Recent   []Recent   `json:"recent"`        // newest first
	Saved    int        `json:"saved"`
	Unsent   int        `json:"unsent"`
	Progress *Text      `json:"progress,omitempty"` // of Unsent, while they go
	Aside    int        `json:"aside,omitempty"`    // entries that the hub refused
	Oldest   *time.Time `json:"oldest,omitempty"`   // wall time of the oldest unsent entry
	Seq      uint64     `json:"seq"`                // of the journal's last entry
	Inside   int        `json:"inside"`
	Stale    int        `json:"stale"` // of Inside: so long here that they probably left unseen
	Online   bool       `json:"online"`
	Uplink   string     `json:"uplink,omitempty"` // why nothing goes up
	Peers    []Peer     `json:"peers,omitempty"`
	Lock     *Text      `json:"lock,omitempty"`   // what the turnstile does without power
	Stick    string     `json:"stick,omitempty"`  // how the USB stick stands that is in
	System   uint64     `json:"system,omitempty"` // release of the image that runs
	Update   *Text      `json:"update,omitempty"` // how far a new one is
	Clock    string     `json:"clock"`            // trust of the clock
	Faults   []string   `json:"faults,omitempty"` // what a person must act on, newest last
	Enrol    *Said      `json:"enrol,omitempty"`  // of a unit that is no gate yet: the page shows nothing else
	Shift    *Shift     `json:"shift,omitempty"`
	Settings *Settings  `json:"settings,omitempty"` // while a supervisor's badge has opened them
	RollCall bool       `json:"roll_call"`          // the policy lets the guard see who is inside
	Checked  []Check    `json:"checked,omitempty"`  // what the last self-test found
	Slip     string     `json:"slip,omitempty"`     // and the text of its code
}

// A Shift is what has passed since a guard took the gate over.
type Shift struct {
	Guard   string    `json:"guard"` // number of the badge; empty before the first
	Since   time.Time `json:"since"`
	In      uint64    `json:"in"`
	Out     uint64    `json:"out"`
	Refused uint64    `json:"refused"`
	Looked  uint64    `json:"looked"`
	Undone  uint64    `json:"undone"`
}

// Settings are what a supervisor may change at the gate. They outlive a restart.
type Settings struct {
	Names    bool `json:"names"`    // the screen shows the given name, the year and the last digits
	Sounds   bool `json:"sounds"`   // verdicts are heard
	Schedule bool `json:"schedule"` // lanes turn by their schedule
}

// A Check is one line of a self-test.
type Check struct {
	OK   bool `json:"ok"`
	Text Text `json:"text"`
}

// A Roll is who is inside now, for a fire: the short names of those whose entrance this run of the program saw, by name.
// Unnamed is how many more there are.
type Roll struct {
	Inside  []Inside `json:"inside"`
	Unnamed int      `json:"unnamed"`
}

// Inside is somebody on a Roll.
type Inside struct {
	Who  string    `json:"who"`
	Lane string    `json:"lane"`
	At   time.Time `json:"at"`
}

// Said is a face with words that are no verdict.
type Said struct {
	Face  Face `json:"face"`
	Words Text `json:"words"`
}

// A Lane is one source of codes.
type Lane struct {
	Name      string `json:"name"`
	Direction string `json:"direction"`
	Source    string `json:"source"`
	OK        bool   `json:"ok"`
	Text      string `json:"text,omitempty"`    // why it is not OK
	Suggest   string `json:"suggest,omitempty"` // the other direction, when most of those who come look as if they went that way
	Turns     string `json:"turns,omitempty"`   // its next turn by the schedule, "16:30 out"
}

// A Peer is another gate of the venue.
type Peer struct {
	Name string     `json:"name"`
	OK   bool       `json:"ok"`
	Seen *time.Time `json:"seen,omitempty"` // when it last answered, since the start
	Text string     `json:"text,omitempty"` // why it is not OK
}

// Shown is a verdict on the screen.
type Shown struct {
	Seq     uint64        `json:"seq"` // 0 when it was not kept
	Lane    string        `json:"lane"`
	Face    Face          `json:"face"`
	Verdict entry.Verdict `json:"verdict"`
	Reason  entry.Reason  `json:"reason"`
	Words   Text          `json:"words"`
	Who     string        `json:"who,omitempty"` // given name, birth year, last three digits

	Direction string `json:"direction,omitempty"`
	Silent    bool   `json:"-"` // the settings want no sound
}

// Recent is a verdict that was shown, without the person.
type Recent struct {
	Seq       uint64        `json:"seq"`
	At        time.Time     `json:"at"`
	Lane      string        `json:"lane"`
	Direction string        `json:"direction"`
	Face      Face          `json:"face"`
	Verdict   entry.Verdict `json:"verdict"`
	Reason    entry.Reason  `json:"reason"`
	Words     Text          `json:"words"`
	Undone    bool          `json:"undone,omitempty"`
}

// A Question is a form that waits for the answers of the person at Lane.
type Question struct {
	ID    string `json:"id"` // to be handed back with the answers
	Lane  string `json:"lane"`
	Who   string `json:"who"`
	Title Text   `json:"title"`
	Items []Item `json:"items"`
}

// An Item is one question of a form.
type Item struct {
	ID      string   `json:"id"`
	Text    Text     `json:"text"`
	Type    string   `json:"type"`
	Choices []Choice `json:"choices,omitempty"`
}

// A Choice is one possible answer to an Item of type "choice".
type Choice struct {
	ID   string `json:"id"`
	Text Text   `json:"text"`
}

// An Action is what the guard does. Exactly one field is set.
type Action struct {
	Answer *Answer `json:"answer,omitempty"`
	Turn   *Turn   `json:"turn,omitempty"`
	Undo   *Undo   `json:"undo,omitempty"`
	Leave  *Leave  `json:"leave,omitempty"`

	Dismiss *Dismiss `json:"dismiss,omitempty"`

	Write *Write    `json:"write,omitempty"`
	Set   *Settings `json:"set,omitempty"`
	Test  *Test     `json:"test,omitempty"`
}

// An Answer gives a Question's answers by their item ids.
type Answer struct {
	ID      string         `json:"id"`
	Answers map[string]any `json:"answers"`
	By      string         `json:"by,omitempty"` // who answered for the person
}

// A Write puts in somebody who has no code, as their card or a paper slip says. What is left out is not known, but either
// a name or a number is.
type Write struct {
	Lane   string `json:"lane"`
	Name   string `json:"name"`
	Birth  string `json:"birth"`  // a year, dd/mm/yyyy or yyyy-mm-dd
	Number string `json:"number"` // of the card
	Slip   string `json:"slip"`   // number of the paper slip
}

// A Test lights every lamp, sounds every sound and tries every part that can be tried.
type Test struct{}

// A Turn sets a lane's direction, "in" or "out".
type Turn struct {
	Lane      string `json:"lane"`
	Direction string `json:"direction"`
}

// An Undo annuls the passage with this sequence by a new entry.
type Undo struct {
	Seq uint64 `json:"seq"`
	Why string `json:"why,omitempty"` // one of entry.UndoReasons, or nothing
}

// A Leave drops a Question without an answer.
type Leave struct {
	ID string `json:"id"`
}

// A Dismiss takes a verdict off its lane's screen before its time: the guard has seen it.
type Dismiss struct {
	Lane string `json:"lane"`
}

// A Gate is what the console shows and drives.
type Gate interface {
	// State returns the state now.
	State() State
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
	// Do acts. Its error is fit for the guard's eyes.
	Do(context.Context, Action) error
}
