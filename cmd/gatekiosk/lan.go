package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"path/filepath"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/lan"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
	"gatepost/sync/pull"
)

// newLAN returns what serves and follows the venue's other gates until its context ends.
func newLAN(ctx context.Context, c *config.Kiosk, key ed25519.PrivateKey, j *journal.Journal, m *memory.Memory, k *kiosk.Kiosk, log *slog.Logger) (run func(context.Context) error, err error) {
	if c.LAN.Listen == "" && len(c.Peers) == 0 {
		return func(context.Context) error { return nil }, nil
	}
	o := lan.Options{
		Key: key, Journal: j, Memory: m, Aside: asideFile(c), Dir: filepath.Join(c.Data, "lan"),
		Now: k.Now, OnPeer: k.SetPeer, OnAlarm: func(name, text string) { k.PeerAlarm(ctx, name, text) }, Log: log,
	}
	if c.LAN.Tokens != "" {
		if o.Tokens, err = pull.ReadTokens(c.LAN.Tokens); err != nil {
			return nil, fmt.Errorf("lan: %w", err)
		}
	}
	for _, p := range c.Peers {
		pub, err := keyfile.Public(p.Key)
		if err != nil {
			return nil, fmt.Errorf("key of peer %q: %w", p.Name, err)
		}
		if pub.Equal(key.Public()) {
			return nil, fmt.Errorf("key of peer %q: it is this device's own", p.Name)
		}
		o.Peers = append(o.Peers, lan.Peer{Name: p.Name, URL: p.Address, Key: pub})
	}
	if o.Listener, err = listen(c.LAN.Listen); err != nil {
		return nil, fmt.Errorf("lan: %w", err)
	}
	if o.Listener != nil {
		log.Info("other gates may follow", "address", o.Listener.Addr().String())
	}
	l, err := lan.New(o)
	if err != nil {
		return nil, err
	}
	return l.Run, nil
}
