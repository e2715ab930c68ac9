package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/admission"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/shc"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

const verifyHelp = `usage: gatectl verify [-trust DIR] [-issuers DIR] [-bundle FILE] [-policy FILE] [-at RFC3339] [-hex]

Reads the texts of codes from standard input, one a line, and says of each what a gate that remembers nobody
would say: one JSON object a line with family, verified, verdict, reason and claims.

`

// A verifier is a gate without a memory.
type verifier struct {
	trust  credential.Trust
	policy admission.Policy
	forms  form.Set
	roster roster.Set
	chunks shc.Joiner
	at     string // RFC 3339; empty: now, for each line anew
	hex    bool

	files struct{ trust, issuers, bundle, policy, forms, publisher, rosters string }
}

// bind lets flags say which files load reads, and the time.
func (v *verifier) bind(fs *flag.FlagSet) {
	fs.StringVar(&v.files.trust, "trust", "", "folder with the public keys whose signatures count, *.pem and *.der")
	fs.StringVar(&v.files.issuers, "issuers", "", "folder with the certificates of the authorities whose health certificates count")
	fs.StringVar(&v.files.bundle, "bundle", "", "trust bundle, which -publisher has signed")
	fs.StringVar(&v.files.policy, "policy", "", "policy file; when left out, every family and the shipped forms are taken")
	fs.StringVar(&v.files.forms, "forms", "", "folder with more signed forms")
	fs.StringVar(&v.files.publisher, "publisher", "", "public key that signed them, and the bundle")
	fs.StringVar(&v.files.rosters, "rosters", "", "folder with the rosters that the policy names, as NAME.roster")
	fs.StringVar(&v.at, "at", "", "judge as of this time, RFC 3339; its zone is the venue's")
}

func verify(ctx context.Context, e env, args []string) int {
	var v verifier
	fs := newFlags("verify", verifyHelp)
	v.bind(fs)
	fs.BoolVar(&v.hex, "hex", false, "the lines are hexadecimal")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if _, err := moment(v.at); err != nil || fs.NArg() > 0 {
		return misused(e, fs, fmt.Sprintf("-at must be a time, and nothing may stand beside the flags: %q, %q", v.at, fs.Args()))
	}
	if err := v.load(e); err != nil {
		return fail(e, "verify", err)
	}
	done := make(chan error, 1)
	go func() { done <- v.run(e.in, e.out) }() // ends with its input, or with the program: a read cannot be called off
	select {
	case err := <-done:
		if err != nil {
			return fail(e, "verify", err)
		}
		return exitOK
	case <-ctx.Done():
		return fail(e, "verify", ctx.Err())
	}
}

func (v *verifier) load(e env) (err error) {
	if trust := v.files.trust; trust != "" {
		keys, err := keyfile.Dir(trust)
		if err != nil {
			return err
		}
		for _, k := range keys {
			v.trust.Declarers = append(v.trust.Declarers, k)
		}
	}
	if issuers := v.files.issuers; issuers != "" {
		var refused []error
		if v.trust.Issuers, refused, err = keyfile.Issuers(issuers); err != nil {
			return err
		}
		for _, err := range refused {
			fmt.Fprintf(e.err, "gatectl: left out: %v\n", err)
		}
	}
	if bundle := v.files.bundle; bundle != "" {
		t, err := keyfile.Trust(bundle, v.files.publisher)
		if err != nil {
			return err
		}
		v.trust = v.trust.And(t)
	}
	v.policy = config.DefaultPolicy()
	if policy := v.files.policy; policy != "" {
		text, err := os.ReadFile(policy)
		if err != nil {
			return fmt.Errorf("policy: %w", err)
		}
		if v.policy, err = config.Policy(text); err != nil {
			return fmt.Errorf("policy %s:\n%w", policy, err)
		}
	}
	if v.forms, err = loadForms(v.files.forms, v.files.publisher); err != nil {
		return err
	}
	v.roster = roster.Set{}
	for _, name := range v.policy.Rosters() {
		raw, err := os.ReadFile(filepath.Join(v.files.rosters, name+".roster"))
		if err != nil {
			return fmt.Errorf("roster of the policy: %w", err)
		}
		if v.roster[name], err = roster.Parse(raw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// read reads a code; the last of several of a card is the card, as at a gate.
func (v *verifier) read(text string, now time.Time) credential.Claims {
	if whole, _, _, ok := v.chunks.Add(text, now); ok && whole != "" {
		text = whole
	}
	return credential.Parse(text, v.trust)
}

// past is what this gate knows of a person: on which rosters they are.
func (v *verifier) past(c credential.Claims) admission.Past {
	return admission.Past{Rosters: v.roster.Of(c.Keys(), v.policy.Rosters()...)}
}

// run answers each line at once, so that a program at the other end may wait for it.
func (v *verifier) run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read texts: %w", err)
		}
		now, err := moment(v.at)
		if err != nil {
			return err
		}
		if err := encoder.Encode(v.judge(line, now)); err != nil {
			return fmt.Errorf("write answers: %w", err)
		}
	}
}

// readLine returns the next line without its end, "\n" or "\r\n". Of a line that no code can hold it returns as
// much as shows that. At the end it returns io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	const most = 2*credential.MaxText + 4 // in hexadecimal; even, so that it stays that
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), most-min(most, len(line)))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		if cut, ok := bytes.CutSuffix(line, []byte("\n")); ok {
			line = bytes.TrimSuffix(cut, []byte("\r"))
		}
		return line, nil
	}
}

// An answer is one line of output.
type answer struct {
	Family   credential.Family `json:"family"`
	Verified bool              `json:"verified"`
	Verdict  entry.Verdict     `json:"verdict"`
	Reason   entry.Reason      `json:"reason"`
	Claims   shown             `json:"claims"`
}

// shown is a code's claims in JSON; what a code does not say is left out.
type shown struct {
	Name        string    `json:"name,omitempty"`
	Birth       string    `json:"birth,omitempty"`
	Sex         string    `json:"sex,omitempty"`
	Number      string    `json:"number,omitempty"`
	QID         string    `json:"qid,omitempty"`
	Address     string    `json:"address,omitempty"`
	Doubtful    bool      `json:"doubtful,omitempty"`
	Detail      string    `json:"detail,omitempty"` // why it is of no use
	Declaration *declared `json:"declaration,omitempty"`
}

type declared struct {
	Form     string         `json:"form"`
	Answers  map[string]any `json:"answers"`
	Issued   time.Time      `json:"issued"`
	Expires  time.Time      `json:"expires"`
	Declarer string         `json:"declarer,omitempty"`
	Plate    string         `json:"plate,omitempty"`
	Tail     string         `json:"tail,omitempty"`
	Question string         `json:"question,omitempty"` // the one that decided
}

func (v *verifier) judge(line []byte, now time.Time) answer {
	text := string(line)
	if v.hex {
		b, err := hex.DecodeString(text)
		if err != nil {
			return answer{credential.Unknown, false, entry.Unreadable, entry.ReasonUnknown, shown{Detail: "not hexadecimal"}}
		}
		text = string(b)
	}
	c := v.read(text, now)
	d := admission.Decide(c, v.past(c), v.policy, v.forms,
		admission.Moment{Now: now, Trust: entry.TrustClock, Direction: entry.In, Keys: v.trust.Made})
	p := c.Person
	s := shown{p.Name, p.Birth, p.Sex, p.Number, p.QID, p.Address, c.Doubtful, c.Detail, nil}
	if f := c.Declaration; f != nil {
		s.Declaration = &declared{
			fmt.Sprintf("%s/%d", f.Form, f.Version), f.Answers, f.Issued, f.Expires, f.Declarer, f.Plate, f.Tail, d.Question,
		}
	}
	return answer{c.Family, c.Verified, d.Verdict, d.Reason, s}
}
