package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/device/slot"
)

const (
	bootLimit = 4 * time.Minute // for anything that is awaited, on a machine that is very busy
	startSize = 160 << 20       // bytes of a card, in which all is that the firmware reads
)

// errReset means that the machine has started itself again, or was made to by its watchdog.
var errReset = errors.New("the machine has started again")

// A run of the image, from its power to the cut.
type powered struct {
	states  chan guard.State // what the gate's page says, each half second
	port    net.Conn
	gone    <-chan struct{} // closed when the disk has no power
	stop    context.CancelFunc
	ended   chan struct{}
	console string
}

// boot gives the unit power; try is set by who has started it again to try the other slot.
func (u *unit) boot(ctx context.Context, try bool) (*powered, error) {
	path := filepath.Join(u.dir, "port")
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	first := filepath.Join(u.dir, "first")
	if err := u.disk.snapshot(first, startSize); err != nil {
		return nil, err
	}
	fw := firmware{dir: u.dir, board: u.kit.file("board.dtb")}
	system, err := fw.start(ctx, first, try)
	if err != nil {
		return nil, fmt.Errorf("firmware: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	b := &powered{states: make(chan guard.State), gone: u.disk.on(), stop: stop, ended: make(chan struct{}), console: filepath.Join(u.dir, "console")}
	cmd := exec.CommandContext(ctx, "qemu-system-aarch64",
		"-M", "virt", "-cpu", "cortex-a53", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", system.kernel, "-dtb", system.tree, "-initrd", u.kit.file("initrd.gz"), "-append",
		fmt.Sprintf("%s console=ttyAMA0 panic=-1 now=%d", system.cmdline, time.Now().Unix()),
		"-device", "i6300esb", "-action", "watchdog=reset",
		"-serial", "file:"+b.console,
		"-blockdev", "driver=nbd,node-name=disk,server.type=unix,server.path="+u.listen.Addr().String(),
		"-device", "virtio-blk-pci,drive=disk,write-cache=on",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-chardev", "socket,id=port,path="+path, "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	proof.OwnGroup(cmd)
	if err := cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	go func() {
		cmd.Wait()
		close(b.ended)
	}()
	l.(*net.UnixListener).SetDeadline(time.Now().Add(bootLimit))
	if b.port, err = l.Accept(); err != nil {
		b.end()
		return nil, fmt.Errorf("no machine: %w: %s", err, &complaint)
	}
	u.t.Boots++
	go b.listen(ctx)
	return b, nil
}

// listen hands on the newest state to who waits for one.
func (b *powered) listen(ctx context.Context) {
	defer close(b.states)
	for lines := bufio.NewScanner(b.port); lines.Scan(); {
		var s guard.State
		if json.Unmarshal(lines.Bytes(), &s) != nil || len(s.Lanes) == 0 {
			continue
		}
		select {
		case b.states <- s:
		case <-ctx.Done():
			return
		}
	}
}

// await returns the first state that is as it should be.
func (b *powered) await(ctx context.Context, what string, as func(guard.State) bool) (s guard.State, err error) {
	limit := time.After(bootLimit)
	for {
		select {
		case next, ok := <-b.states:
			if !ok {
				return s, fmt.Errorf("%s: %w; %s", what, errReset, b.tail())
			}
			if s = next; as(s) {
				return s, nil
			}
		case <-b.gone:
			return s, errDark
		case <-limit:
			return s, fmt.Errorf("not within %v: %s; it says %+v; %s", bootLimit, what, s, b.tail())
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// wantsTry reports whether the machine has started again with the word by which a Pi's firmware tries the other slot.
func (b *powered) wantsTry() bool {
	<-b.ended
	return strings.Contains(b.tail(), "Restarting system with command '"+slot.TryBoot+"'")
}

// show puts a code before the camera.
func (b *powered) show(text string) { fmt.Fprintln(b.port, text) }

// dark waits so long for the power to go, and reports whether it has.
func (b *powered) dark(wait time.Duration) bool {
	select {
	case <-b.gone:
		return true
	case <-time.After(wait):
		return false
	}
}

// end ends the machine.
func (b *powered) end() {
	if b == nil {
		return
	}
	b.stop()
	<-b.ended
	if b.port != nil {
		b.port.Close()
	}
}

func (b *powered) tail() string {
	text, err := os.ReadFile(b.console)
	return fmt.Sprintf("console: …%s%v", text[max(0, len(text)-2000):], errors.Join(err))
}
