package entry

import "fmt"

// Verdict is what the gate says.
type Verdict uint8

const (
	Admit      Verdict = 1 // the person may pass
	Look       Verdict = 2 // the guard must look, ask or decide
	Refuse     Verdict = 3 // the person may not pass
	Unreadable Verdict = 4 // there is a code, but nothing that can be understood
	Failed     Verdict = 5 // the gate itself is broken; shown as "fault"
)

var verdictNames = [...]string{Admit: "admit", Look: "look", Refuse: "refuse", Unreadable: "unreadable", Failed: "fault"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict-%d", v)
}

// MarshalText lets a Verdict stand in JSON by its name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(b []byte) error {
	for i, name := range verdictNames {
		if name != "" && name == string(b) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("no verdict %q", b)
}

// Reason is a code that says why a verdict was given. docs/FORMATS.md lists them all for other programs.
type Reason string

const (
	ReasonDeclared      Reason = "declared"       // a signed declaration, fresh, no refusing answer
	ReasonProven        Reason = "proven"         // an authority's certificate says what the policy asks for
	ReasonRemembered    Reason = "remembered"     // declared here earlier, still fresh
	ReasonAnswered      Reason = "answered"       // the questions were answered at the gate
	ReasonIdentity      Reason = "identity"       // policy admits a bare identity
	ReasonLeaving       Reason = "leaving"        // nobody is kept in
	ReasonNeedsAnswers  Reason = "needs-answers"  // who it is can be read, the answers are missing
	ReasonUnprovable    Reason = "unprovable"     // policy refuses a code that proves nothing
	ReasonRefusedAnswer Reason = "refused-answer" // an answer that the form refuses
	ReasonAskedAnswer   Reason = "asked-answer"   // an answer that the guard must look into
	ReasonExpired       Reason = "expired"        // declared too long ago, or past its own end
	ReasonNotYet        Reason = "not-yet"        // issued after now, and the clock is trusted
	ReasonClock         Reason = "clock"          // the clock cannot tell whether it is fresh
	ReasonDuplicate     Reason = "duplicate"      // the same person, the same way, a moment ago
	ReasonPassback      Reason = "passback"       // the same way again, without having gone the other way in between
	ReasonBarred        Reason = "barred"         // on a roster of whom the venue does not let in
	ReasonUnexpected    Reason = "unexpected"     // on none of the rosters of whom it expects
	ReasonSeveral       Reason = "several"        // codes of several people in view
	ReasonFamily        Reason = "family"         // policy does not take this kind of code
	ReasonForm          Reason = "form"           // the declaration is on a form that is not asked for here
	ReasonAnswers       Reason = "answers"        // the answers do not fit the form
	ReasonSignature     Reason = "signature"      // the proof is broken
	ReasonSigner        Reason = "signer"         // signed by nobody whom this venue trusts
	ReasonStale         Reason = "stale"          // the list of whom this venue trusts is too old to say
	ReasonMalformed     Reason = "malformed"      // a known kind of code with a fault in it
	ReasonNotPerson     Reason = "not-person"     // a venue's code, a web address, a payment: no person
	ReasonKnown         Reason = "known"          // a known kind of proof that is not supported
	ReasonUnknown       Reason = "unknown"        // not understood
	ReasonJournal       Reason = "journal"        // the entry could not be kept
	ReasonCamera        Reason = "camera"         // the camera gives nothing
)
