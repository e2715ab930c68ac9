package demo

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/selfsign"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const venueWord = "the-venue's-own-server"

// newVenue makes two gates that follow each other and send to the hub of the first, which alone has a hub. They listen
// at two addresses of this machine. The first one's log is open to venueWord.
func newVenue(t *testing.T) (a, b *demo, lan [2]string) {
	t.Helper()
	a, b = newGate(t, demoLanes("")[:2]), newGate(t, demoLanes("")[:2])
	for i, d := range []*demo{a, b} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", i+2)) // from which nobody calls, so that the port stays free
		d.must(t, err)
		lan[i] = l.Addr().String()
		l.Close()
	}
	tokens := filepath.Join(a.dir, "tokens")
	a.must(t, os.WriteFile(tokens, []byte(venueWord+"\n"), 0o600))
	a.configureLAN(t, fmt.Sprintf("[lan]\nlisten = %q\ntokens = %q\n", lan[0], tokens), "cổng 2", lan[1], b.kioskData)
	b.configureLAN(t, fmt.Sprintf("[lan]\nlisten = %q\n", lan[1]), "cổng 1", lan[0], a.kioskData)
	text, err := os.ReadFile(b.kioskConfig)
	b.must(t, err)
	for old, now := range map[string]string{b.relayAddr: a.hubAddr, b.ca: a.ca, b.receiptKey: a.receiptKey} {
		text = bytes.ReplaceAll(text, []byte(old), []byte(now))
	}
	b.must(t, os.WriteFile(b.kioskConfig, text, 0o600))
	b.must(t, os.Link(filepath.Join(b.kioskData, "device.pub.pem"), filepath.Join(a.hubData, "devices", "gate-2.pub.pem")))
	b.must(t, os.Link(filepath.Join(a.dir, "declarer.pub.pem"), filepath.Join(b.dir, "declarers", "other.pub.pem")))
	return a, b, lan
}

func (d *demo) configureLAN(t *testing.T, section, peer, address, data string) {
	t.Helper()
	f, err := os.OpenFile(d.kioskConfig, os.O_APPEND|os.O_WRONLY, 0)
	d.must(t, err)
	_, err = fmt.Fprintf(f, "%s[[peer]]\nname = %q\naddress = \"https://%s\"\nkey = %q\n", section, peer, address, filepath.Join(data, "device.pub.pem"))
	d.must(t, err)
	d.must(t, f.Close())
}

// shows waits until the gate's page shows what ok looks for.
func (d *demo) shows(t *testing.T, what string, ok func(guard.State) bool) {
	t.Helper()
	d.must(t, await(t.Context(), time.Minute, what, func() bool {
		s, err := d.state()
		return err == nil && ok(s)
	}))
}

func (d *demo) visits(t *testing.T, what, lane string, v entry.Verdict, r entry.Reason, texts ...string) {
	t.Helper()
	if err := d.visit(t.Context(), what, lane, v, r, texts...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func inside(n int) func(guard.State) bool { return func(s guard.State) bool { return s.Inside == n } }

func peerOK(s guard.State) bool { return len(s.Peers) == 1 && s.Peers[0].OK }

// Two gates of a venue: who came in at one is known at the other, what was declared at one counts at the other, a gate
// that is killed knows it all again, and neither the hub nor a log nor an entry ever holds a key.
func TestTwoGatesOfAVenue(t *testing.T) {
	a, b, lan := newVenue(t)
	a.must(t, a.hub.Start())
	for _, d := range []*demo{a, b} {
		d.must(t, d.kiosk.Start())
		d.must(t, d.awaitKiosk(t.Context()))
	}
	a.shows(t, "the other gate", peerOK)
	b.shows(t, "the other gate", peerOK)
	well, err := a.declare(an, healthy(a.form), time.Now())
	a.must(t, err)

	a.visits(t, "somebody comes in", laneIn, entry.Admit, entry.ReasonDeclared, well)
	b.shows(t, "who came in at the other gate", inside(1))
	b.visits(t, "the same at the other gate", laneIn, entry.Look, entry.ReasonDuplicate, well)
	a.shows(t, "one inside", inside(1))

	a.visits(t, "a bare card", laneIn, entry.Look, entry.ReasonNeedsAnswers, huong.card())
	a.visits(t, "answers", laneIn, entry.Admit, entry.ReasonAnswered)
	b.shows(t, "both inside", inside(2))
	b.visits(t, "the card goes out at the other gate", laneOut, entry.Admit, entry.ReasonLeaving, huong.card())
	a.shows(t, "who went out at the other gate", inside(1))
	b.visits(t, "the card comes back at the other gate", laneIn, entry.Admit, entry.ReasonRemembered, huong.card())
	a.shows(t, "who came back", inside(2))

	b.kiosk.Kill()
	a.shows(t, "that the other gate is away", func(s guard.State) bool { return len(s.Peers) == 1 && !s.Peers[0].OK && s.Peers[0].Seen != nil })
	a.visits(t, "a gate alone goes on", laneOut, entry.Admit, entry.ReasonLeaving, well)
	b.must(t, b.kiosk.Start())
	b.must(t, b.awaitKiosk(t.Context()))
	b.shows(t, "today, after a restart", inside(1))
	a.shows(t, "the other gate again", peerOK)
	b.visits(t, "the card goes out after a restart", laneOut, entry.Admit, entry.ReasonLeaving, huong.card())
	b.visits(t, "what was declared at the other gate stands after a restart", laneIn, entry.Admit, entry.ReasonRemembered, huong.card())
	a.visits(t, "the same at the other gate", laneIn, entry.Look, entry.ReasonDuplicate, huong.card())

	a.strangerRefused(t, lan[0])
	a.must(t, await(t.Context(), time.Minute, "the last receipt", a.settled))
	b.must(t, await(t.Context(), time.Minute, "the last receipt", b.settled))
	samePull(t, a, lan[0])
	b.kiosk.Stop()
	a.kiosk.Stop()
	noKeyOutside(t, a, b)
}

// strangerRefused shows a certificate that is nobody's.
func (d *demo) strangerRefused(t *testing.T, address string) {
	t.Helper()
	dir := t.TempDir()
	d.must(t, selfsign.Create(dir, time.Now(), "127.0.0.1"))
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, selfsign.Cert), filepath.Join(dir, selfsign.Key))
	d.must(t, err)
	c, err := tls.Dial("tcp", address, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true})
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // in TLS 1.3 the server judges after the client is done
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "remote error: tls") {
		t.Errorf("a stranger was not refused in the handshake: %v", err)
	}
}

// samePull checks that the gate serves a token the lines that the hub does, but for cursors and batches.
func samePull(t *testing.T, d *demo, address string) {
	t.Helper()
	s, err := d.state()
	d.must(t, err)
	pem, err := os.ReadFile(filepath.Join(d.kioskData, "lan", "gate.pem"))
	d.must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	own := pullAll(t, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}, "https://"+address, venueWord, s.Device)
	client, err := d.hubClient()
	d.must(t, err)
	word, err := os.ReadFile(d.token)
	d.must(t, err)
	hub := pullAll(t, client, d.hubURL, string(trim(word)), s.Device)
	n := min(len(own), len(hub))
	if n < 4 || !slices.Equal(own[:n], hub[:n]) || len(own) < len(hub) {
		t.Errorf("the gate serves %d lines and the hub %d, or others", len(own), len(hub))
	}
}

func pullAll(t *testing.T, client *http.Client, address, word, device string) (all []string) {
	t.Helper()
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+wire.PathLog, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+word)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, res.Status, err)
	}
	for line := range bytes.Lines(raw) {
		l, err := pull.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if l.Device == device {
			l.Cursor, l.Batch = "", nil
			text, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(text))
		}
	}
	return all
}

// noKeyOutside looks for the keys of both gates' memories in everything that they wrote elsewhere or sent to the hub.
func noKeyOutside(t *testing.T, a, b *demo) {
	t.Helper()
	var forms [][]byte
	for _, d := range []*demo{a, b} {
		files, err := filepath.Glob(filepath.Join(d.kioskData, "memory", "*.key"))
		d.must(t, err)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			d.must(t, err)
			for len(raw) >= 40 && strings.HasPrefix(filepath.Base(f), "day-") {
				forms = append(forms, raw[8:40])
				raw = raw[40:]
			}
			if len(raw) == 32 {
				forms = append(forms, raw)
			}
		}
	}
	if len(forms) < 6 { // two of the day and one of declarations, at each gate
		t.Fatalf("%d keys are to be looked for", len(forms))
	}
	for _, key := range slices.Clone(forms) {
		forms = append(forms, []byte(hex.EncodeToString(key)), []byte(base64.StdEncoding.EncodeToString(key)))
	}
	for _, d := range []*demo{a, b} {
		d.must(t, filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Base(filepath.Dir(path)) == "memory" {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, f := range forms {
				if bytes.Contains(raw, f) {
					t.Errorf("a key stands in %s", path)
				}
			}
			return err
		}))
	}
}
