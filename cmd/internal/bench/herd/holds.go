package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"gatepost/sync/wire"
)

// holds counts how often each entry stands in the hub's log.
func (p *process) holds(ctx context.Context) (map[string]int, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls()}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	count, cursor := map[string]int{}, ""
	for {
		before := cursor
		if err := p.page(ctx, client, &cursor, count); err != nil {
			return nil, fmt.Errorf("read the hub's log: %w", err)
		}
		if cursor == before {
			return count, nil
		}
	}
}

// page reads one page of the pull behind cursor and moves it.
func (p *process) page(ctx context.Context, client *http.Client, cursor *string, count map[string]int) error {
	query := url.Values{"limit": {"10000"}}
	if *cursor != "" {
		query.Set("after", *cursor)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+wire.PathLog+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("hub answers %s", resp.Status)
	}
	for d := json.NewDecoder(resp.Body); ; {
		var line struct {
			Cursor, Device string
			Seq            uint64
		}
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		*cursor = line.Cursor
		count[fmt.Sprintf("%s %d", line.Device, line.Seq)]++
	}
}
