package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/process"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// tally is what was counted at each place, after the last person.
type tally struct {
	shown, admitted, refused                        int
	stored, hub, pulled, receipted, doubled, onDisk int
}

func (t tally) String() string {
	return fmt.Sprintf("shown=%d admitted=%d refused=%d stored=%d hub=%d pulled=%d receipted=%d lost=%d doubled=%d names_on_disk=%d",
		t.shown, t.admitted, t.refused, t.stored, t.hub, t.pulled, t.receipted, t.stored-t.pulled, t.doubled, t.onDisk)
}

// check returns an error unless everything that was stored is everywhere, once, and no name is on a disk.
func (t tally) check(timed bool) error {
	switch {
	case timed && t.stored < 10:
		return fmt.Errorf("only %d entries were stored", t.stored)
	case t.hub != t.stored || t.pulled != t.stored || t.receipted != t.stored:
		return errors.New("stored, hub, pulled and receipted differ")
	case t.doubled != 0:
		return fmt.Errorf("%d entries came twice", t.doubled)
	case t.onDisk != 0:
		return fmt.Errorf("%d files hold a name", t.onDisk)
	}
	return nil
}

// finish mends what the viewer broke, lets the last entries drain, ends the programs and counts.
func (d *demo) finish() error {
	ctx := context.Background() // the demo's own context may have ended already: that is how it stops
	d.relay.setCut(false)
	for _, p := range []*process.Process{d.kiosk, d.hub} {
		if err := p.Start(); err != nil {
			return err
		}
	}
	if err := d.awaitKiosk(ctx); err != nil {
		return err
	}
	if err := d.kiosk.Fill(false); err != nil {
		return err
	}
	last := time.Now()
	err := await(ctx, drain, "the end of the last person", d.empty)
	err = errors.Join(err, await(ctx, drain-time.Since(last), "the last receipt", d.settled))
	d.kiosk.Stop()
	t, countErr := d.count(ctx)
	d.hub.Stop()
	if countErr != nil {
		return errors.Join(err, countErr)
	}
	names, nameErr := filesWith(d.dir, d.secrets())
	t.onDisk = len(names)
	for _, n := range names {
		d.say("✗ a name stands in %s", n)
	}
	if d.bad > 0 {
		err = errors.Join(err, fmt.Errorf("%d steps went another way", d.bad))
	}
	fmt.Fprintln(d.Out, t)
	return errors.Join(err, nameErr, t.check(d.For > 0))
}

// finishAlone ends a demo that was broken off before there was a hub.
func (d *demo) finishAlone() error {
	d.kiosk.Stop()
	report, err := journal.Check(filepath.Join(d.kioskData, "journal"), nil)
	if err != nil {
		return err
	}
	d.say("ended before the hub was there; the kiosk's journal holds %d entries, faults in it: %d", report.Entries, len(report.Damage))
	return nil
}

// count counts the entries at every place: the journal itself, the hub's word, a pull, the last receipt.
func (d *demo) count(ctx context.Context) (t tally, err error) {
	t.shown = d.shown
	receipts, err := keyfile.Public(d.receiptKey)
	if err != nil {
		return t, err
	}
	report, err := journal.Check(filepath.Join(d.kioskData, "journal"), receipts)
	if err == nil && len(report.Damage) > 0 {
		err = fmt.Errorf("journal is damaged: %v", report.Damage)
	}
	if err != nil {
		return t, err
	}
	t.stored, t.receipted = report.Entries, int(report.Receipted)
	client, err := d.hubClient()
	if err != nil {
		return t, err
	}
	var state wire.State
	if err := fetch(ctx, client, d.hubURL+wire.PathDevice+report.Device, "", func(r io.Reader) error {
		return json.NewDecoder(r).Decode(&state)
	}); err != nil {
		return t, err
	}
	t.hub = int(state.Seq)
	return t, d.pull(ctx, client, &t)
}

// pull reads the hub's whole log as any central server would.
func (d *demo) pull(ctx context.Context, client *http.Client, t *tally) error {
	token, err := os.ReadFile(d.token)
	if err != nil {
		return err
	}
	seen := map[uint64]bool{}
	for after := ""; ; {
		got := 0
		page := d.hubURL + wire.PathLog + "?limit=1000&after=" + url.QueryEscape(after)
		if err := fetch(ctx, client, page, string(trim(token)), func(r io.Reader) error {
			for lines := json.NewDecoder(r); ; got++ {
				var e struct {
					Cursor  string `json:"cursor"`
					Seq     uint64 `json:"seq"`
					Verdict string `json:"verdict"`
				}
				if err := lines.Decode(&e); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				after = e.Cursor
				if seen[e.Seq] {
					t.doubled++
					continue
				}
				if seen[e.Seq] = true; int(e.Seq) != len(seen) { // one device, from its first entry on
					return fmt.Errorf("entry %d came as number %d", e.Seq, len(seen))
				}
				switch e.Verdict {
				case "admit":
					t.admitted++
				case "refuse":
					t.refused++
				}
			}
		}); err != nil {
			return err
		}
		if got == 0 {
			t.pulled = len(seen)
			return nil
		}
	}
}

// hubClient trusts the hub's own authority alone.
func (d *demo) hubClient() (*http.Client, error) {
	pem, err := os.ReadFile(d.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", d.ca)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 30 * time.Second}, nil
}

func fetch(ctx context.Context, client *http.Client, url, token string, read func(io.Reader) error) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, r.Status)
	}
	return read(r.Body)
}

// officerSees reports whether the officer's page knows of a gate with a scan today.
func (d *demo) officerSees() bool {
	var figures struct {
		Gates struct {
			Scanned int `json:"scanned"`
		} `json:"gates"`
	}
	return getJSON(d.deskURL+"figures.json", &figures) == nil && figures.Gates.Scanned > 0
}

// filesWith returns the files below dir in which one of the secrets stands in clear: journal,
// memory, logs, the hub's store and view, and what went over the wire.
func filesWith(dir string, secrets []string) (found []string, err error) {
	return found, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range secrets {
			if bytes.Contains(b, []byte(name)) {
				found = append(found, path)
				break
			}
		}
		return nil
	})
}

func trim(b []byte) []byte { return bytes.TrimSpace(b) }

func lines(b []byte) int { return bytes.Count(b, []byte("\n")) }
