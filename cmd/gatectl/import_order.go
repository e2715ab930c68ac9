package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"gatepost/sync/wire"
)

// readToken reads the first word of a file, as "gatehub" writes one; "" from no file.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	words := strings.Fields(string(raw))
	if len(words) == 0 {
		return "", fmt.Errorf("read token: %s is empty", file)
	}
	return words[0], nil
}

// orders puts the hub's orders for a device onto the stick, in the place of those that lie there.
func (m *importer) orders(ctx context.Context, id string) error {
	var raws [][]byte
	had := map[string]uint64{}
	for range wire.MaxSlots {
		raw, err := m.nextOrder(ctx, id, had)
		if err != nil {
			return fmt.Errorf("orders for %s: %w", id, err)
		}
		if raw == nil {
			break
		}
		o, err := wire.ParseOrder(raw)
		if err == nil && o.Serial <= had[o.Slot()] {
			err = errors.New("the hub gives the same order again")
		}
		if err == nil {
			err = m.stick.PutOrder(id, raw)
		}
		if err != nil {
			return fmt.Errorf("orders for %s: %w", id, err)
		}
		had[o.Slot()], raws = o.Serial, append(raws, raw)
	}
	if len(raws) > 0 {
		fmt.Fprintf(m.out, "%s: %d orders put onto the stick\n", id, len(raws))
	}
	return m.stick.KeepOrders(id, raws)
}

// nextOrder returns an order for a device that is not among had, nil when there is no more.
func (m *importer) nextOrder(ctx context.Context, id string, had map[string]uint64) ([]byte, error) {
	q := url.Values{}
	for slot, serial := range had {
		q.Add("have", slot+":"+strconv.FormatUint(serial, 10))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(m.hub, "/")+wire.PathDevice+id+wire.OrdersOf+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxOrder+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("hub's answer: %w", err)
	case resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		p := wire.Problem{Title: "hub answers"}
		json.Unmarshal(raw, &p) // a proxy on the way may answer with anything
		p.Status = resp.StatusCode
		return nil, p
	}
	return raw, nil
}
