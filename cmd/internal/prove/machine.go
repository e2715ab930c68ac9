package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"gatepost/cmd/internal/prove/proof"
)

// lifeLimit bounds one boot of the machine, which takes some seconds when nobody else is busy.
const lifeLimit = 3 * time.Minute

// A machine is an emulated one with a disk whose power can be cut. Its disk is served as long as it is open.
type machine struct {
	kit     kit
	fs, how string // of the mount
	disk    *disk
	listen  net.Listener
	served  chan struct{} // closed when nobody serves the disk any more
	console string        // path of what the kernel says
}

func newMachine(p *proof.Run, k kit, fs, how string, d *disk) (*machine, error) {
	dir, err := os.MkdirTemp(p.Work, fs+"-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "disk"))
	if err != nil {
		return nil, err
	}
	m := &machine{kit: k, fs: fs, how: how, disk: d, listen: l, served: make(chan struct{}), console: filepath.Join(dir, "console")}
	go func() {
		defer close(m.served)
		d.serve(l)
	}()
	return m, nil
}

func (m *machine) close() {
	m.listen.Close()
	<-m.served
}

// unmountable begins the words of a loss that is not the journal's alone. The machine's init has them, too.
const unmountable = "the file system cannot be mounted"

// A life is what a machine said from its boot to the cut.
type life struct {
	whole bool   // the journal held what it should
	lost  string // why it did not; the life ended there
	acks  []mark
}

// live boots the machine, tells it what was acknowledged last, and cuts its power a few writes and flushes after it
// has acknowledged so many entries; the disk still has to be told what it loses. The machine is gone on return.
func (m *machine) live(ctx context.Context, last mark, acks, after int) (l life, err error) {
	limited, stop := context.WithTimeout(ctx, lifeLimit)
	defer stop()
	dark := m.disk.on()
	cmd := exec.CommandContext(limited, "qemu-system-aarch64", m.args(last)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return l, err
	}
	if err := cmd.Start(); err != nil {
		return l, err
	}
	go func() { // ends when the power does, or with live
		select {
		case <-dark:
			stop()
		case <-limited.Done():
		}
	}()
	if acks == 0 {
		m.disk.arm(after)
	}
	failed := ""
	for lines := bufio.NewScanner(out); failed == "" && l.lost == "" && lines.Scan(); {
		before := len(l.acks)
		if failed = l.hear(lines.Text()); len(l.acks) > before {
			m.disk.say(l.acks[before])
			if len(l.acks) == acks {
				m.disk.arm(after)
			}
		}
	}
	hung := errors.Is(limited.Err(), context.DeadlineExceeded)
	stop()
	cmd.Wait() // it was killed
	switch err := m.disk.failed(); {
	case ctx.Err() != nil:
		return l, ctx.Err()
	case err != nil:
		return l, err
	case hung:
		return l, fmt.Errorf("the machine did not come so far in %v; %s", lifeLimit, m.tail())
	case failed != "":
		return l, fmt.Errorf("the guest says: %s; %s", failed, m.tail())
	case l.lost == "" && !m.isDark():
		return l, fmt.Errorf("the machine ended by itself: %s; %s", &complaint, m.tail())
	}
	return l, nil
}

func (m *machine) isDark() bool {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	return m.disk.isDark()
}

// args are QEMU's. The disk has a cache that the guest must flush; what the guest says comes by a port that has
// handed it over when the guest's write returns, so that it takes its right place in a record of the disk.
func (m *machine) args(last mark) []string {
	return []string{
		"-M", "virt", "-cpu", "cortex-a53", "-accel", "tcg", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", m.kit.file("kernel"), "-initrd", m.kit.file("initrd.gz"), "-append",
		fmt.Sprintf("console=ttyAMA0 quiet panic=-1 now=%d fs=%s how=%s seq=%d hash=%s", time.Now().Unix(), m.fs, m.how, last.seq, last.name()),
		"-serial", "file:" + m.console,
		"-blockdev", "driver=nbd,node-name=disk,server.type=unix,server.path=" + m.listen.Addr().String(),
		"-device", "virtio-blk-pci,drive=disk,write-cache=on",
		"-chardev", "file,id=port,path=/dev/stdout", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port",
	}
}

// guestLine is what a guest may say; a line that the cut has torn is none.
var guestLine = regexp.MustCompile(`^(WHOLE|LOST|FAILED|ACK) (?:([0-9]{1,19}) ([0-9a-f]{64})$)?(.*)`)

// hear takes in one line of the guest's. It returns why the guest gave up, if it did.
func (l *life) hear(line string) (failed string) {
	w := guestLine.FindStringSubmatch(line)
	switch {
	case w == nil:
	case w[1] == "WHOLE":
		l.whole = true
	case w[1] == "LOST":
		l.lost = w[4]
	case w[1] == "FAILED":
		return w[4]
	case w[3] != "":
		seq, err := strconv.ParseUint(w[2], 10, 64)
		if err != nil {
			return err.Error()
		}
		l.acks = append(l.acks, mark{seq, w[3]})
	}
	return ""
}

// tail returns the end of what the kernel said.
func (m *machine) tail() string {
	b, err := os.ReadFile(m.console)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("console: …%s", b[max(0, len(b)-2000):])
}
