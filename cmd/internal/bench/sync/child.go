package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"gatepost/cmd/internal/selfsign"
	"gatepost/storage/entry"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// What parent and child hand each other in the child's folder.
const (
	deviceFile  = "devices" // public keys, 32 bytes each
	tokenFile   = "token"
	receiptFile = "receipt" // the seed of the receipt key
)

// A child is the hub that is measured, in a process of its own: this program once more. It says on out where it listens,
// and answers each line from in with how many entries its log holds, until in ends.
type child struct {
	store   string // one of the stores' names
	dir     string
	profile string // file for a CPU profile, "" = none
}

func (c child) run(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o, err := c.options()
	if err != nil {
		return err
	}
	h, count, closing, err := open(ctx, c.store, filepath.Join(c.dir, "store"), o)
	if err != nil {
		return err
	}
	defer closing()
	l, server, err := c.listen(h, o)
	if err != nil {
		return err
	}
	defer server.Close()
	if c.profile != "" {
		stop, err := startProfile(c.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Fprintf(out, "https://%s\n", l.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		n, err := count(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, n)
	}
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func startProfile(path string) (stop func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, pprof.StartCPUProfile(f)
}

// options are those of the shipped hub, with the devices' keys in memory.
func (c child) options() (o hub.Options, err error) {
	keys, err := os.ReadFile(filepath.Join(c.dir, deviceFile))
	if err != nil {
		return o, err
	}
	devices := make(map[string]ed25519.PublicKey, len(keys)/ed25519.PublicKeySize)
	for ; len(keys) >= ed25519.PublicKeySize; keys = keys[ed25519.PublicKeySize:] {
		pub := ed25519.PublicKey(keys[:ed25519.PublicKeySize])
		devices[entry.DeviceID(pub)] = pub
	}
	seed, err := os.ReadFile(filepath.Join(c.dir, receiptFile))
	if err != nil {
		return o, err
	}
	return hub.Options{
		Devices:    func(id string) (ed25519.PublicKey, bool) { k, ok := devices[id]; return k, ok },
		ReceiptKey: ed25519.NewKeyFromSeed(seed), Now: time.Now, Pace: hub.NewPace(time.Now, rand.Float64),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, nil
}

// listen puts the hub behind the door of the shipped one.
func (c child) listen(h *hub.Hub, o hub.Options) (net.Listener, *http.Server, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(c.dir, selfsign.Cert), filepath.Join(c.dir, selfsign.Key))
	if err != nil {
		return nil, nil, err
	}
	tokens, err := pull.ReadTokens(filepath.Join(c.dir, tokenFile))
	if err != nil {
		return nil, nil, err
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	door := hub.NewDoor(inner, hub.DoorOptions{
		TLS:  &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}},
		Pace: o.Pace, Now: time.Now, Log: o.Log,
	})
	mux := http.NewServeMux()
	mux.Handle(wire.PathLog, pull.New(pull.Options{Log: h, Tokens: tokens, Out: o.Log}))
	mux.Handle("/", h.Handler())
	return door, &http.Server{
		Handler: hub.Guard(o.Log, mux), ConnState: door.ConnState, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}, nil
}

// entries counts what the hub's log holds, as a puller would.
func entries(ctx context.Context, h *hub.Hub) (n int, err error) {
	const piece = 256
	for after := uint64(0); ; {
		records, _, err := h.Read(ctx, after, piece)
		if err != nil || len(records) == 0 {
			return n, err
		}
		for _, r := range records {
			b, err := wire.Parse(r.Raw)
			if err != nil {
				return n, err
			}
			n, after = n+len(b.Entries), r.Seq
		}
	}
}
