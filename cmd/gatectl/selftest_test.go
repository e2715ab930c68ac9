package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatepost/cmd/internal/guard"
)

// The command runs the gate's own test, says what it found, and ends with 1 unless all is well.
func TestSelftest(t *testing.T) {
	var state guard.State
	var refuses string
	tested := 0
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && refuses != "":
			http.Error(w, refuses, http.StatusConflict)
		case r.Method == http.MethodPost && r.URL.Path == "/act":
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != `{"test":{}}` {
				t.Errorf("asked for %s, %v", body, err)
			}
			tested++
			w.WriteHeader(http.StatusNoContent)
		default:
			json.NewEncoder(w).Encode(state)
		}
	}))
	defer gate.Close()
	good := guard.Check{OK: true, Text: guard.Text{VI: "Sổ", EN: "journal"}}
	bad := guard.Check{Text: guard.Text{VI: "Đồng hồ", EN: "clock"}}
	for _, c := range []struct {
		checks  []guard.Check
		refuses string
		code    int
		says    string
	}{
		{[]guard.Check{good}, "", exitOK, "ok    journal · Sổ\n\nGatepost self-test"},
		{[]guard.Check{good, bad}, "", exitFail, "FAIL  clock · Đồng hồ"},
		{nil, "", exitFail, "tested nothing"},
		{[]guard.Check{good}, "the journal cannot be written", exitFail, "the gate says: the journal cannot be written"},
	} {
		state, refuses = guard.State{Checked: c.checks, Slip: "Gatepost self-test"}, c.refuses
		var out, errs bytes.Buffer
		code := run(t.Context(), env{strings.NewReader(""), &out, &errs}, []string{"selftest", "-gate", gate.URL + "/"})
		if said := out.String() + errs.String(); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%+v: status %d, %q", c, code, said)
		}
	}
	if tested != 3 {
		t.Errorf("%d tests", tested)
	}
	var errs bytes.Buffer
	if code := run(t.Context(), env{strings.NewReader(""), io.Discard, &errs}, []string{"selftest", "now"}); code != exitUsage {
		t.Errorf("a word too many: %d, %s", code, &errs)
	}
}
