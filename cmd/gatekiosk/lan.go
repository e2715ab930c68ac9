package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/lan"
	"gatepost/sync/pull"
)

// newLAN returns what serves and follows the venue's other gates until its context ends.
func newLAN(ctx context.Context, c *config.Kiosk, p *parts, k *kiosk.Kiosk, log *slog.Logger) (run func(context.Context) error, err error) {
	if c.LAN.Listen == "" && len(c.Peers) == 0 {
		return func(context.Context) error { return nil }, nil
	}
	o := lan.Options{
		Key: p.key, Journal: p.journal, Memory: p.memory, Aside: asideFile(c), Dir: filepath.Join(c.Data, "lan"),
		Now: k.Now, OnPeer: k.SetPeer, OnAlarm: func(name, text string) { k.PeerAlarm(ctx, name, text) }, Log: log,
	}
	if c.LAN.Tokens != "" {
		if o.Tokens, err = pull.ReadTokens(c.LAN.Tokens); err != nil {
			return nil, fmt.Errorf("lan: %w", err)
		}
	}
	for _, peer := range c.Peers {
		pub, err := keyfile.Public(peer.Key)
		if err != nil {
			return nil, fmt.Errorf("key of peer %q: %w", peer.Name, err)
		}
		if pub.Equal(p.key.Public()) {
			return nil, fmt.Errorf("key of peer %q: it is this device's own", peer.Name)
		}
		if slices.ContainsFunc(o.Peers, func(other lan.Peer) bool { return other.Key.Equal(pub) }) {
			return nil, fmt.Errorf("key of peer %q: another peer has it", peer.Name)
		}
		o.Peers = append(o.Peers, lan.Peer{Name: peer.Name, URL: peer.Address, Key: pub})
	}
	if o.Listener, err = listen(c.LAN.Listen); err != nil {
		return nil, fmt.Errorf("lan: %w", err)
	}
	if o.Listener != nil {
		log.Info("other gates may follow", "address", o.Listener.Addr().String())
	}
	l, err := lan.New(o)
	if err != nil {
		if o.Listener != nil {
			o.Listener.Close()
		}
		return nil, err
	}
	return l.Run, nil
}
