package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/helper"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/order"
	"gatepost/cmd/internal/update"
	"gatepost/device/slot"
	"gatepost/device/wall"
	"gatepost/storage/journal"
)

const (
	releaseFile = "/etc/gatepost-release" // the number of the image's release
	chosen      = "/proc/device-tree/chosen/bootloader"
)

// rootRights is what the gate does by the helper's hand. Without a helper a gate mounts sticks where it may, and does not
// change its system.
type rootRights struct {
	helper  bool           // this process is the helper
	client  *helper.Client // nil: there is none
	updates *update.Updater
	version uint64 // of the image; 0: this board has no slots
}

// takeRoot finds out which of the two this process is, and gives up what a gate does not need.
func takeRoot(c *config.Kiosk, log *slog.Logger) (*rootRights, error) {
	client, err := helper.Inherited()
	if err != nil {
		return nil, err
	}
	if client == nil {
		return &rootRights{helper: c.User != "" && os.Getuid() == 0}, nil
	}
	if err := helper.Confine(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	log.Debug("privileges given up", "user", c.User)
	return &rootRights{client: client}, nil
}

func (r *rootRights) close() {
	if r.client != nil {
		r.client.Close()
	}
}

// help is all that the helper does.
func (r *rootRights) help(ctx context.Context, c *config.Kiosk, log *slog.Logger) error {
	who, err := helper.Lookup(c.User)
	if err != nil {
		return err
	}
	host, err := helper.System(int(who.Uid), c.Data)
	if err != nil {
		return err
	}
	code, err := helper.Run(ctx, helper.Options{User: c.User, Data: c.Data, Host: host, Log: log})
	if err == nil && code != 0 {
		err = fmt.Errorf("the gate has ended with status %d", code)
	}
	return err
}

// sticks returns the port of USB sticks.
func (r *rootRights) sticks(c *config.Kiosk) *kiosk.USB {
	if r.client == nil {
		return kiosk.NewUSB(filepath.Join(c.Data, "stick"), os.Getuid(), nil)
	}
	return kiosk.NewUSB(helper.StickDir, os.Getuid(), r.client)
}

// openUpdates finds out whether this board starts from slots, and which runs.
func (r *rootRights) openUpdates(c *config.Kiosk, log *slog.Logger) error {
	if r.client == nil || r.updates != nil {
		return nil
	}
	board, err := slot.OpenPi(slot.Pi{Autoboot: helper.AutobootFile, Chosen: chosen, Root: r.client})
	if errors.Is(err, slot.ErrNoBoard) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.version, err = release(releaseFile); err != nil {
		return err
	}
	machine, err := slot.Open(board, filepath.Join(c.Data, "slots.json"), slot.Image{Version: r.version, Reads: journal.Format, Writes: journal.Format})
	if err != nil {
		return err
	}
	on, _ := machine.Trial()
	log.Info("system", "version", r.version, "on trial", on, "trouble", machine.Trouble())
	r.updates = update.New(update.Options{
		Dir: filepath.Join(c.Data, "update"), Machine: machine, Open: r.client.OpenSlot,
		Restart: func() error { return r.client.Restart(false) }, Probation: c.Trial, Log: log,
	})
	return nil
}

// release reads the number of the image's release.
func release(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("release of this image: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("release of this image: %q is no number", text)
	}
	return n, nil
}

// updater returns what takes the orders that change the system; nil is nothing.
func (r *rootRights) updater() order.Updates {
	if r.updates == nil {
		return nil
	}
	return r.updates
}

// bundles returns what takes an update's bundle from a stick; nil is nothing.
func (r *rootRights) bundles() func(dir string) error {
	if r.updates == nil {
		return nil
	}
	return r.updates.TakeFile
}

// fetchBy has bundles fetched by the way to the hub.
func (r *rootRights) fetchBy(t http.RoundTripper) {
	if r.updates != nil {
		r.updates.SetClient(&http.Client{Transport: t})
	}
}

// runUpdates looks after the system while the gate works, until ctx ends.
func (r *rootRights) runUpdates(ctx context.Context, k *kiosk.Kiosk) error {
	if r.updates == nil {
		return nil
	}
	return r.updates.Run(ctx, k)
}

// drift is how far the system's clock, by which logs and certificates go, may be off.
const drift = 2 * time.Second

// setClock sets the system's clock by a better one.
func (r *rootRights) setClock(clock *wall.Clock, log *slog.Logger) {
	now, ok := clock.Fresh()
	if r.client == nil || !ok || time.Since(now).Abs() <= drift {
		return
	}
	if err := r.client.SetClock(now); err != nil {
		log.Warn("the system's clock is not set", "error", err)
	}
}
