package pull

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
	"gatepost/sync/wire/wiretest"
)

func opening(devices ...byte) wire.Release {
	r := wire.Release{Case: "2021-117", By: wire.ByPlace, From: 1, To: 2}
	for _, d := range devices {
		r.Devices = append(r.Devices, wire.Released{Device: wiretest.ID(d), First: 1, Last: 3, Entries: 2})
	}
	return r
}

// A release reaches the log under the token that asked, if that token sees all of its gates.
func TestReleases(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	o := options(t, m)
	var got []wire.Release
	broken := false
	o.Release = func(_ context.Context, r wire.Release) (uint64, error) {
		if broken {
			return 0, errors.New("no disk")
		}
		got = append(got, r)
		return uint64(len(got)) + 40, nil
	}
	s := httptest.NewServer(New(o))
	defer s.Close()
	all := &Client{HTTP: s.Client(), URL: s.URL, Token: token}
	some := &Client{HTTP: s.Client(), URL: s.URL, Token: scoped}
	status := func(err error) int {
		p := wire.Problem{}
		errors.As(err, &p)
		return p.Status
	}
	done, err := all.Release(t.Context(), opening(1, 2, 3))
	if err != nil || done != (wire.Recorded{Case: "2021-117", Record: 41, Token: got[0].Token}) || len(got[0].Devices) != 3 {
		t.Errorf("%+v, %v", done, err)
	}
	other, err := some.Release(t.Context(), opening(1, 3))
	if err != nil || other.Token == done.Token || len(other.Token) != 8 || got[1].Token != other.Token {
		t.Errorf("%+v, %v", other, err)
	}
	if _, err := some.Release(t.Context(), opening(1, 2)); status(err) != http.StatusForbidden {
		t.Errorf("a gate of another area: %v", err)
	}
	if _, err := all.Release(t.Context(), opening()); status(err) != http.StatusBadRequest {
		t.Errorf("no gate: %v", err)
	}
	forged := opening(1)
	forged.Token = "0a1b2c3d"
	if _, err := all.Release(t.Context(), forged); status(err) != http.StatusBadRequest {
		t.Errorf("somebody else's token: %v", err)
	}
	if res, _ := call(New(o), "POST", wire.PathReleases, token, strings.Repeat(" ", wire.MaxRelease+1)); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too long: %d", res.StatusCode)
	}
	broken = true
	if _, err := all.Release(t.Context(), opening(1)); status(err) != http.StatusServiceUnavailable || len(got) != 2 {
		t.Errorf("not stored: %v", err)
	}
	o.Release = nil
	if res, _ := call(New(o), "POST", wire.PathReleases, token, "{}"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a log without releases: %d", res.StatusCode)
	}
}

// An answer that is not the hub's word for this case is none.
func TestReleaseBelievesNoOtherAnswer(t *testing.T) {
	for _, body := range []string{"", "{}", "<html>", `{"case":"2021-118","record":1}`, `{"case":"2021-117"}`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			w.Write([]byte(body))
		}))
		if done, err := (&Client{HTTP: s.Client(), URL: s.URL}).Release(t.Context(), opening(1)); err == nil {
			t.Errorf("%q was believed: %+v", body, done)
		}
		s.Close()
	}
}

// Pullers and their cursors pass over a release.
func TestReleaseIsNoLine(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(1)...)
	r := opening(1)
	m.Add(wire.Record{Release: &r})
	m.Batch(t, 1, stamp, passages(1)...)
	o := options(t, m)
	s := New(o)
	if _, body := call(s, "GET", wire.PathLog, token, ""); strings.Count(body, "\n") != 2 || strings.Contains(body, "2021-117") {
		t.Errorf("page: %s", body)
	}
	for cursor, place := range map[string]uint64{"abc.2.0": 2, "abc.3.1": 3} {
		if res, body := call(s, "PUT", wire.PathConsumers+"m"+cursor[4:5]+"/cursor", token, cursor); res.StatusCode != 204 {
			t.Errorf("%s: %d %s", cursor, res.StatusCode, body)
		}
		if kept, ok := o.Consumers.Kept("m" + cursor[4:5]); !ok || kept != place {
			t.Errorf("%s: kept %d", cursor, kept)
		}
	}
}

// A client that resumes checks the next entry against the head that it was given.
func TestResume(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(2)...)
	m.Batch(t, 1, stamp, passages(1)...)
	b, err := wire.Parse(first(t, m).Raw)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := b.After(), b.After()
	bad.Hash[0] ^= 1
	for head, want := range map[entry.Head]string{good: "", bad: "does not carry the hash", {Seq: 9}: "does not follow"} {
		c := serve(t, m)
		c.Resume(map[string]entry.Head{wiretest.ID(1): head})
		_, n, err := c.Page(t.Context(), "abc.1.2", 9, 0, func(Line) error { return nil })
		if want == "" && (err != nil || n != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("behind %v: %d entries, %v", head, n, err)
		}
	}
}
