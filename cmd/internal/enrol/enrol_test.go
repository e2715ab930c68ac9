package enrol

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/device"
	"gatepost/scanner"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"

	"github.com/BurntSushi/toml"
)

var noon = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

func clockAt(at time.Time, trust entry.Trust) func() entry.Stamp {
	return func() entry.Stamp { return entry.Stamp{Wall: at, Trust: trust} }
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sample is an enrolment that serial tells from others, issued so many minutes after noon.
func sample(t *testing.T, serial byte) wire.Enrolment {
	t.Helper()
	authority, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued := noon.Add(time.Duration(serial) * time.Minute)
	return wire.Enrolment{
		ID: [16]byte{serial}, Issued: issued, Expires: issued.Add(time.Hour), Hub: "https://hub.example:8443", Pin: bytes.Repeat([]byte{2}, 32),
		ReceiptKey: newKey(t).Public().(ed25519.PublicKey), Authority: authority.PublicKey().Bytes(),
		Venue: "Chợ", Area: "Mê Linh", Name: "cho-1", Zone: "Asia/Ho_Chi_Minh",
		Network: wire.Network{Salt: make([]byte, 16), SSID: "gate", Passphrase: "not a real password", DNS: []string{"10.0.0.1"}, Proxy: "http://u:not-real@proxy.example:3128"},
	}
}

func sign(t *testing.T, key ed25519.PrivateKey, e wire.Enrolment) []byte {
	t.Helper()
	raw, err := wire.SignEnrolment(key, e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func open(t *testing.T, dir string, issuer ed25519.PublicKey) *Store {
	t.Helper()
	s, err := Open(dir, issuer, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read shows all parts of a code, and returns what was said last.
func read(t *testing.T, r *Reader, raw []byte) string {
	t.Helper()
	said := guard.Said{}
	for _, text := range wire.EnrolmentParts(raw) {
		var ok bool
		if said, ok = r.Read(text); !ok {
			t.Fatalf("%q is no part", text)
		}
		if said.Face == guard.Go {
			t.Error("green for what is no passage")
		}
	}
	return said.Words.EN
}

// Which codes a unit takes, in the order in which they are shown to it.
func TestWhichEnrolmentsAreTaken(t *testing.T) {
	issuer, stranger := newKey(t), newKey(t)
	first, second := sign(t, issuer, sample(t, 10)), sign(t, issuer, sample(t, 20))
	mars := sample(t, 30)
	mars.Zone = "Mars/Olympus"
	dir := t.TempDir()
	taken := 0
	for _, c := range []struct {
		what  string
		code  []byte
		clock func() entry.Stamp
		want  string
		taken int
	}{
		{"expired", first, clockAt(noon.Add(2*time.Hour), entry.TrustClock), "this enrolment has expired", 0},
		{"an unknown zone", sign(t, issuer, mars), clockAt(noon, entry.TrustNone), "this enrolment cannot be used here", 0},
		{"the first, by a clock that nobody trusts", first, clockAt(noon.Add(2*time.Hour), entry.TrustSeen), "enrolled", 1},
		{"the same", first, clockAt(noon, entry.TrustClock), "this gate has this enrolment already", 1},
		{"another issuer's", sign(t, stranger, sample(t, 40)), clockAt(noon, entry.TrustClock), "this enrolment is not signed by the issuer that this gate knows", 1},
		{"a later one", second, clockAt(noon, entry.TrustClock), "enrolled", 2},
		{"the first again", first, clockAt(noon, entry.TrustClock), "this enrolment is older than the one in use", 2},
	} {
		s := open(t, dir, nil) // each time by a program that was started anew
		r := NewReader(s, c.clock, func() { taken++ })
		if got := read(t, r, c.code); got != c.want || taken != c.taken {
			t.Errorf("%s: %q and %d taken, want %q and %d", c.what, got, taken, c.want, c.taken)
		}
	}
	if e, ok := open(t, dir, nil).Current(); !ok || e.ID != [16]byte{20} {
		t.Errorf("%v, %v", e.ID, ok)
	}
}

// An issuer that the configuration names is the only one that counts.
func TestConfiguredIssuer(t *testing.T) {
	issuer, stranger := newKey(t), newKey(t)
	s := open(t, t.TempDir(), issuer.Public().(ed25519.PublicKey))
	r := NewReader(s, clockAt(noon, entry.TrustClock), func() {})
	if got := read(t, r, sign(t, stranger, sample(t, 1))); !strings.Contains(got, "not signed by the issuer") {
		t.Error(got)
	}
	if got := read(t, r, sign(t, issuer, sample(t, 2))); got != "enrolled" {
		t.Error(got)
	}
}

func TestForgedCode(t *testing.T) {
	raw := sign(t, newKey(t), sample(t, 1))
	raw[len(raw)-1] ^= 1
	s := open(t, t.TempDir(), nil)
	r := NewReader(s, clockAt(noon, entry.TrustClock), func() { t.Error("taken") })
	if got := read(t, r, raw); got != "this enrolment carries a wrong signature" {
		t.Error(got)
	}
	if _, ok := r.Read("HD1:SOMETHING"); ok {
		t.Error("any text is a part")
	}
}

// What cannot be kept is not taken.
func TestDiskThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	if err := os.Mkdir(filepath.Join(dir, codeFile+".new"), 0o700); err != nil { // root may write everywhere else
		t.Fatal(err)
	}
	r := NewReader(s, clockAt(noon, entry.TrustClock), func() { t.Error("taken") })
	if got := read(t, r, sign(t, newKey(t), sample(t, 1))); !strings.HasPrefix(got, "not written: ") {
		t.Error(got)
	}
	if _, ok := s.Current(); ok {
		t.Error("enrolled all the same")
	}
}

func TestApply(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	e := sample(t, 1)
	if err := s.Take(sign(t, newKey(t), e), clockAt(noon, entry.TrustClock)()); err != nil {
		t.Fatal(err)
	}
	c, err := config.ParseKiosk([]byte("schema = 1\nenrol = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(c); err != nil {
		t.Fatal(err)
	}
	if c.Venue.Name != "Chợ" || c.Zone.String() != e.Zone || c.Uplink.Hub != e.Hub || c.Proxy.Host != "proxy.example:3128" {
		t.Errorf("%+v", c)
	}
	receipt, err1 := keyfile.Public(c.Uplink.ReceiptKey)
	issuer, err2 := keyfile.Public(c.Keys.Issuer)
	authority, err3 := keyfile.SealPublic(c.Keys.Authority)
	now, _ := s.Current()
	if err1 != nil || err2 != nil || err3 != nil || !receipt.Equal(e.ReceiptKey) || !issuer.Equal(now.Issuer) || !bytes.Equal(authority.Bytes(), e.Authority) {
		t.Error("keys", err1, err2, err3)
	}
	text, err := os.ReadFile(filepath.Join(dir, "network.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var n Network
	if err := config.Strict(text, &n); err != nil || n.SSID != "gate" || n.Passphrase != "not a real password" || !slices.Equal(n.DNS, e.Network.DNS) {
		t.Errorf("%+v, %v", n, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "network.toml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("others may read the password", info.Mode(), err)
	}
	// Files that were lost or changed are made again.
	for _, name := range []string{"network.toml", "issuer.pub.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, dir, nil).Apply(c); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(filepath.Join(dir, "network.toml")); err != nil || !bytes.Equal(again, text) {
		t.Errorf("%q, %v", again, err)
	}
}

// The hub hears of each enrolment until it has taken it.
func TestUplinkIsToldOnce(t *testing.T) {
	dir, issuer := t.TempDir(), newKey(t)
	if o := open(t, dir, nil).Uplink(uplink.Options{}); !reflect.DeepEqual(o, uplink.Options{}) {
		t.Errorf("not enrolled: %+v", o)
	}
	for serial := byte(1); serial < 3; serial++ {
		e := sample(t, serial)
		code := sign(t, issuer, e)
		if err := open(t, dir, nil).Take(code, clockAt(noon, entry.TrustNone)()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			o := open(t, dir, nil).Uplink(uplink.Options{})
			if !bytes.Equal(o.Enrolment, code) || !bytes.Equal(o.Pin, e.Pin) || !o.Since.Equal(e.Issued) {
				t.Errorf("%+v", o)
			}
		}
		open(t, dir, nil).Uplink(uplink.Options{}).OnEnrolled()
		if o := open(t, dir, nil).Uplink(uplink.Options{}); o.Enrolment != nil || o.Pin == nil {
			t.Errorf("taken: %+v", o)
		}
	}
}

// No secret of an enrolment reaches the log.
func TestLogHasNoSecret(t *testing.T) {
	var out bytes.Buffer
	s, err := Open(t.TempDir(), nil, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e := sample(t, 1)
	read(t, NewReader(s, clockAt(noon, entry.TrustClock), func() {}), sign(t, newKey(t), e))
	if !strings.Contains(out.String(), hex.EncodeToString(e.ID[:])) {
		t.Errorf("the log does not tell of the enrolment: %s", &out)
	}
	for _, secret := range []string{"not a real password", "not-real"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q in the log: %s", secret, &out)
		}
	}
}

// A damaged enrolment is none: the unit waits for a code again.
func TestDamagedEnrolment(t *testing.T) {
	dir, issuer := t.TempDir(), newKey(t)
	raw := sign(t, issuer, sample(t, 1))
	for n := range 3 {
		bad := bytes.Clone(raw[:len(raw)-n])
		bad[40] ^= 1
		if err := os.WriteFile(filepath.Join(dir, codeFile), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, nil)
		if _, ok := s.Current(); ok {
			t.Fatal("enrolled by a damaged file")
		}
		if err := s.Apply(&config.Kiosk{}); err != nil {
			t.Error(err)
		}
		if got := read(t, NewReader(s, clockAt(noon, entry.TrustNone), func() {}), raw); got != "enrolled" {
			t.Error(got)
		}
	}
}

// A lane shows its texts one by one, as a test lets it.
type lane struct {
	texts  chan string
	closed sync.WaitGroup
}

func (l *lane) Next(ctx context.Context) (scanner.Sighting, error) {
	select {
	case text, ok := <-l.texts:
		if !ok {
			return scanner.Sighting{}, device.ErrEnd
		}
		return scanner.Sighting{Texts: []string{text}}, nil
	case <-ctx.Done():
		return scanner.Sighting{}, ctx.Err()
	}
}

func (l *lane) Close() error { l.closed.Done(); return nil }

// The waiting unit tells how far the code has come, and hands its lanes back when it is enrolled.
func TestWaitingGate(t *testing.T) {
	one := &lane{texts: make(chan string)}
	one.closed.Add(1)
	g := NewGate([]kiosk.Lane{{Name: "gate-1", Source: "test:", Direction: entry.In, Open: func(context.Context) (kiosk.Source, error) { return one, nil }}},
		slog.New(slog.DiscardHandler))
	says := func(want string) {
		t.Helper()
		for {
			changed := g.Changed()
			s := g.State()
			if s.Enrol == nil || len(s.Recent)+len(s.Shown)+s.Saved > 0 {
				t.Fatalf("%+v", s)
			}
			if strings.Contains(s.Enrol.Words.EN, want) {
				return
			}
			select {
			case <-changed:
			case <-t.Context().Done():
				t.Fatalf("it says %+v, want %q", s.Enrol, want)
			}
		}
	}
	says("step 1 of 3: waiting for the camera")
	store := open(t, t.TempDir(), nil)
	var run sync.WaitGroup
	run.Go(func() { g.Run(t.Context(), store, clockAt(noon, entry.TrustClock)) })
	says("step 2 of 3: Not enrolled")
	issuer := newKey(t)
	parts, other := wire.EnrolmentParts(sign(t, issuer, sample(t, 1))), wire.EnrolmentParts(sign(t, issuer, sample(t, 2)))
	n := len(parts)
	slices.Reverse(parts)
	one.texts <- "HD1:NOT A PART"
	for i, text := range parts[:n-1] {
		one.texts <- text
		says("enrolling: part " + string(rune('1'+i)) + " of " + string(rune('0'+n)))
	}
	one.texts <- other[0]
	says("enrolling: part 1 of")
	one.texts <- parts[0]
	says("enrolling: part " + string(rune('0'+n-1)) + " of")
	if err := g.Do(t.Context(), guard.Action{}); err == nil {
		t.Error("a unit that is no gate acts")
	}
	one.texts <- parts[n-1]
	run.Wait()
	one.closed.Wait()
	says("step 3 of 3: enrolled")
	if e, ok := store.Current(); !ok || e.ID != [16]byte{1} {
		t.Errorf("%+v, %v", e, ok)
	}
}

// A folder that comes to its end keeps the unit waiting for the other lanes.
func TestLaneThatEnds(t *testing.T) {
	ended, other := &lane{texts: make(chan string)}, &lane{texts: make(chan string)}
	ended.closed.Add(1)
	other.closed.Add(1)
	close(ended.texts)
	lanes := []kiosk.Lane{}
	for _, l := range []*lane{ended, other} {
		lanes = append(lanes, kiosk.Lane{Direction: entry.In, Open: func(context.Context) (kiosk.Source, error) { return l, nil }})
	}
	store := open(t, t.TempDir(), nil)
	var run sync.WaitGroup
	run.Go(func() {
		NewGate(lanes, slog.New(slog.DiscardHandler)).Run(t.Context(), store, clockAt(noon, entry.TrustClock))
	})
	ended.closed.Wait()
	for _, text := range wire.EnrolmentParts(sign(t, newKey(t), sample(t, 1))) {
		other.texts <- text
	}
	run.Wait()
	if _, ok := store.Current(); !ok {
		t.Error("not enrolled")
	}
}

// network.toml is read by others: these keys and no more.
func TestNetworkFile(t *testing.T) {
	text, err := toml.Marshal(Network{Schema: 1, DNS: []string{}})
	want := "schema = 1\nssid = \"\"\npassphrase = \"\"\naddress = \"\"\ngateway = \"\"\ndns = []\nproxy = \"\"\n"
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
