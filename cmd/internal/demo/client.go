package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gatepost/cmd/internal/guard"
)

// state asks the kiosk for what its page shows.
func (d *demo) state() (s guard.State, err error) {
	return s, getJSON(d.kioskURL+"state.json", &s)
}

// do lets the guard act.
func (d *demo) do(a guard.Action) error { return postJSON(d.kioskURL+"act", a) }

// show lets somebody hold up the codes of texts before a lane, all at once.
func (d *demo) show(lane string, texts ...string) error {
	err := postJSON(d.kioskURL+"sim", map[string]any{"lane": lane, "texts": texts, "hold_ms": hold.Milliseconds()})
	if err == nil {
		d.mu.Lock()
		d.shown++
		d.mu.Unlock()
	}
	return err
}

// waiting returns how many showings the simulated cameras still have before them or in view.
func (d *demo) waiting() (n int, err error) {
	var lanes map[string]int
	err = getJSON(d.kioskURL+"sim", &lanes)
	for _, w := range lanes {
		n += w
	}
	return n, err
}

func getJSON(url string, v any) error {
	r, err := local.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(v)
}

func postJSON(url string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r, err := local.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode >= 300 {
		why, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		return fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(why)))
	}
	return nil
}
