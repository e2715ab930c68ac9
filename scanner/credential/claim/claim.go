// Package claim holds what a code says, in the one shape that every family of codes is read into.
// It is the leaf below package credential, which re-exports all of it: families write it, others read it there.
package claim

import (
	"crypto/ed25519"
	"log/slog"
	"slices"
	"time"

	"gatepost/storage/entry"
)

// Family is the kind of a code.
type Family string

const (
	CCCD     Family = "cccd"     // the citizen's card and the identity card that followed it
	Personal Family = "personal" // the unified personal code of 2021's apps
	BHYT     Family = "bhyt"     // the health-insurance card
	Venue    Family = "venue"    // 2021's code of a place
	HD1      Family = "hd1"      // a signed declaration of this project
	HC1      Family = "hc1"      // an EU or WHO digital certificate
	SHC      Family = "shc"      // a SMART Health Card
	Paper    Family = "paper"    // no code: the guard wrote down who it is
	Known    Family = "known"    // another known kind of code, which is not read
	Unknown  Family = "unknown"  // not understood
)

// Families lists those that can name a person: what a policy may take.
func Families() []Family { return []Family{CCCD, Personal, BHYT, HD1, HC1, SHC, Paper} }

// A Person is who a code says it belongs to. What the code leaves out is empty. Texts are NFC.
type Person struct {
	Name    string
	Birth   string // yyyy-mm-dd, or yyyy
	Sex     string // "male" or "female"
	Number  string // of the card; a part that the code hides is written as stars
	QID     string // the fixed number of a unified personal code
	Address string
	Slip    string // number of the paper slip that stands for a code
}

// String keeps a person out of %v and %s.
func (Person) String() string { return "[person]" }

// LogValue keeps a person out of every log line.
func (Person) LogValue() slog.Value { return slog.StringValue("[person]") }

// GoString keeps a person out of %#v.
func (Person) GoString() string { return "[person]" }

// Year returns the year of birth, or "".
func (p Person) Year() string {
	if len(p.Birth) < 4 {
		return ""
	}
	return p.Birth[:4]
}

// A Declaration is a form's answers as somebody signed them.
type Declaration struct {
	Form     string // its id, "shift-fitness"
	Version  int
	Answers  map[string]any // by question id: bool, int64 or string
	Issued   time.Time      // UTC, whole seconds
	Expires  time.Time      // UTC, whole seconds
	Declarer string         // who declared for another
	Plate    string         // of the vehicle, where the form asks
	Tail     string         // the last digits of the person's card
}

// String keeps the answers out of %v and %s.
func (Declaration) String() string { return "[declaration]" }

// GoString keeps the answers out of %#v.
func (Declaration) GoString() string { return "[declaration]" }

// LogValue keeps the answers out of every log line.
func (Declaration) LogValue() slog.Value { return slog.StringValue("[declaration]") }

// A Proof is what an authority has signed of a person beside who it is.
type Proof struct {
	Use     Use
	Doses   int    // of UseDose: which one it was
	Of      int    // of UseDose: how many there are to be
	Date    string // of the dose, the test or the first positive one: yyyy-mm-dd, or "" where it is not one
	Issued  time.Time
	Expires time.Time // zero where it does not say
}

// String keeps a proof out of %v and %s.
func (Proof) String() string { return "[proof]" }

// GoString keeps a proof out of %#v.
func (Proof) GoString() string { return "[proof]" }

// LogValue keeps a proof out of every log line.
func (Proof) LogValue() slog.Value { return slog.StringValue("[proof]") }

// Claims is what a code says and how far that is proven.
type Claims struct {
	Family      Family
	Verified    bool // the code's own signature was checked against a trusted key
	Doubtful    bool // read, but in a layout that no authority has published
	Person      Person
	Declaration *Declaration
	Proof       *Proof
	Reason      entry.Reason // "" when usable; else unknown, known, not-person, malformed, signature or signer
	Detail      string       // why, in a few words of English; never anything of a person
}

// LogValue logs what kind of code it was and why it is of no use, and nothing of the person.
func (c Claims) LogValue() slog.Value {
	return slog.GroupValue(slog.String("family", string(c.Family)), slog.Bool("verified", c.Verified),
		slog.String("reason", string(c.Reason)), slog.String("detail", c.Detail))
}

// Trust is whose signatures count.
type Trust struct {
	Declarers []ed25519.PublicKey
	Issuers   []Issuer
	Made      time.Time // when the issuers were put together; zero: nobody says
}

// And returns whose signatures count by t or by more, which says when they were put together.
func (t Trust) And(more Trust) Trust {
	return Trust{slices.Concat(t.Declarers, more.Declarers), slices.Concat(t.Issuers, more.Issuers), more.Made}
}

// Not returns claims that name nobody, for reason r.
func Not(f Family, r entry.Reason, detail string) Claims {
	return Claims{Family: f, Reason: r, Detail: detail}
}
