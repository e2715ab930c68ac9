package pull

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gatepost/sync/wire"
)

const maxStatus = 64 << 20 // bytes of a status; of 38,181 devices it has 8 MB

// Status asks how the hub stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	req, err := c.request(ctx, http.MethodGet, wire.PathStatus, nil)
	if err != nil {
		return s, err
	}
	return s, c.answer(req, http.StatusOK, &s)
}

// PutCursor says that everything up to cursor is safe with the consumer of that name.
func (c *Client) PutCursor(ctx context.Context, name, cursor string) error {
	req, err := c.request(ctx, http.MethodPut, wire.PathConsumers+name+"/cursor", []byte(cursor))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	res, err := c.do(req, http.StatusNoContent)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// answer sends a request and decodes what comes back with that status into v.
func (c *Client) answer(req *http.Request, status int, v any) error {
	res, err := c.do(req, status)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxStatus))
	if err != nil {
		return fmt.Errorf("%w: answer broke off: %w", ErrReach, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("the hub's answer: %w", err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	return req, nil
}

// do sends a request. An answer with another status is a wire.Problem.
func (c *Client) do(req *http.Request, status int) (*http.Response, error) {
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReach, err)
	}
	if res.StatusCode == status {
		return res, nil
	}
	defer res.Body.Close()
	p := wire.Problem{Title: http.StatusText(res.StatusCode), Status: res.StatusCode}
	if raw, err := io.ReadAll(io.LimitReader(res.Body, maxProblem)); err == nil {
		json.Unmarshal(raw, &p) // what is no problem document leaves the status to speak
	}
	p.Status = res.StatusCode
	return nil, p
}
