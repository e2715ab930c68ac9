package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"gatepost/cmd/internal/kiosk"
	"gatepost/device/slot"

	"golang.org/x/sys/unix"
)

// endTime is how long the gate may take to end in order.
const endTime = 10 * time.Second

// A Host is what the list is done with.
type Host interface {
	kiosk.Mounter
	SetClock(time.Time) error
	OpenSlot(slot.Slot) (boot, root *os.File, err error)
	SetDefault(slot.Slot) error
	Restart(try bool) error // returns only when it fails
}

// Options of Run.
type Options struct {
	User string // without privileges
	Data string // folder that belongs to it
	Host Host
	Log  *slog.Logger
}

// Run starts this program again under the user and serves it until it ends, whose exit status it returns. With ctx the
// gate is told to end.
func Run(ctx context.Context, o Options) (code int, err error) {
	who, err := Lookup(o.User)
	if err != nil {
		return 0, err
	}
	if err := own(o.Data, who); err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "gate"), os.NewFile(uintptr(pair[1]), "helper")
	defer theirs.Close()
	gate, err := newClient(ours)
	if err != nil {
		return 0, err
	}
	defer gate.Close()

	runtime.LockOSThread() // the gate ends with the thread that has started it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{theirs}
	cmd.Env = append(os.Environ(), socketVar+"="+strconv.Itoa(socketFD))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start as %s: %w", o.User, err)
	}
	ended := make(chan struct{})
	defer context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })()
	theirs.Close()
	restart, again := make(chan bool, 1), make(chan bool, 1)
	go serve(gate.conn, o.Host, restart, o.Log)
	go func() {
		select {
		case try := <-restart:
			again <- try
			end(cmd.Process, ended)
		case <-ended:
		}
	}()
	err = cmd.Wait()
	close(ended)
	select {
	case try := <-again:
		o.Log.Info("the board starts again", "try", try)
		return 0, o.Host.Restart(try)
	default:
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil // a signal is a fault
	}
	return 0, err
}

// end lets the gate end in order, and by force where that takes too long.
func end(p *os.Process, ended <-chan struct{}) {
	p.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(endTime):
		p.Kill()
		<-ended
	}
}

// Lookup returns a user's credential, and the groups that it is in.
func Lookup(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(id))
		}
	}
	return c, nil
}

// own gives a folder with all in it to a user, where it is not theirs.
func own(dir string, who *syscall.Credential) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil || info.Sys().(*syscall.Stat_t).Uid == who.Uid {
		return err
	}
	var inner []string // the folder itself last: a cut in between begins anew
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		inner = append(inner, path)
		return err
	})
	if err != nil {
		return err
	}
	for i := len(inner) - 1; i >= 0; i-- {
		if err := os.Lchown(inner[i], int(who.Uid), int(who.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// serve does what the gate asks, one after the other, until the gate has gone.
func serve(gate *net.UnixConn, host Host, restart chan<- bool, log *slog.Logger) {
	buf := make([]byte, maxMessage)
	for {
		n, err := gate.Read(buf)
		if err != nil || n == 0 {
			return
		}
		var r request
		var a answer
		var files []*os.File
		if err = json.Unmarshal(buf[:n], &r); err == nil {
			a, files, err = do(r, host, restart)
		}
		if err != nil {
			log.Warn("the gate asks in vain", "for", r.Do, "error", err)
			a = answer{Error: err.Error()[:min(len(err.Error()), maxMessage/4)]}
		}
		reply(gate, a, files)
	}
}

// reply sends an answer; one that does not arrive has nobody to miss it.
func reply(gate *net.UnixConn, a answer, files []*os.File) {
	raw, err := json.Marshal(a)
	if err != nil {
		return
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
		defer f.Close()
	}
	var side []byte
	if len(fds) > 0 {
		side = syscall.UnixRights(fds...)
	}
	gate.WriteMsgUnix(raw, side, nil)
}

// do is the whole list.
func do(r request, host Host, restart chan<- bool) (a answer, files []*os.File, err error) {
	if r.Slot != slot.A && r.Slot != slot.B {
		return a, nil, fmt.Errorf("%d is no slot", r.Slot)
	}
	switch r.Do {
	case doKind:
		a.Kind, err = host.Kind(r.Name)
	case doMount:
		err = host.Mount(r.Name)
	case doUnmount:
		err = host.Unmount(r.Force)
	case doClock:
		err = host.SetClock(r.At)
	case doSlot:
		var boot, root *os.File
		if boot, root, err = host.OpenSlot(r.Slot); err == nil {
			files = []*os.File{boot, root}
		}
	case doDefault:
		err = host.SetDefault(r.Slot)
	case doRestart:
		select {
		case restart <- r.Try:
		default: // it is under way
		}
	default:
		err = fmt.Errorf("%q is not on the list", r.Do)
	}
	return a, files, err
}
