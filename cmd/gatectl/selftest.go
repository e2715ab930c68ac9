package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/internal/guard"
)

const selftestHelp = `usage: gatectl selftest [-gate http://127.0.0.1:8080]

Has a gate that runs on this machine test itself, as the guard's page does: journal, clock, hub, cameras, the card's speed and whether it
confirms what it cannot have written, lamps and sounds. It prints what it found and the slip, which the page shows as a code
(GATE/slip.png), and ends with 1 unless all is well.

`

// selftestTime is how long a self-test may take, lamps and sounds included.
const selftestTime = time.Minute

func selftest(ctx context.Context, e env, args []string) int {
	fs := newFlags("selftest", selftestHelp)
	gate := fs.String("gate", "http://127.0.0.1:8080", "`URL` of the guard's page")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if fs.NArg() > 0 {
		return misused(e, fs, "selftest takes no words")
	}
	ctx, stop := context.WithTimeout(ctx, selftestTime)
	defer stop()
	state, err := runSelftest(ctx, strings.TrimSuffix(*gate, "/"))
	if err != nil {
		return fail(e, "selftest", err)
	}
	code := exitOK
	for _, c := range state.Checked {
		mark := "ok  "
		if !c.OK {
			mark, code = "FAIL", exitFail
		}
		fmt.Fprintf(e.out, "%s  %s · %s\n", mark, c.Text.EN, c.Text.VI)
	}
	fmt.Fprintf(e.out, "\n%s\n", state.Slip)
	return code
}

// runSelftest runs the test, which is over when the gate answers, and returns what it found.
func runSelftest(ctx context.Context, gate string) (s guard.State, err error) {
	body, err := json.Marshal(guard.Action{Test: &guard.Test{}})
	if err != nil {
		return s, err
	}
	if _, err := askGate(ctx, http.MethodPost, gate+"/act", body); err != nil {
		return s, err
	}
	raw, err := askGate(ctx, http.MethodGet, gate+"/state.json", nil)
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err == nil && len(s.Checked) == 0 {
		err = errors.New("the gate has tested nothing")
	}
	return s, err
}

// maxAnswer is the most bytes that a gate's page answers with.
const maxAnswer = 1 << 20

func askGate(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("is a gate running here? %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("the gate says: %s", bytes.TrimSpace(raw))
	}
	return raw, err
}
