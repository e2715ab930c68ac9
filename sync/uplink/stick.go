package uplink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// Names and limits of a stick. docs/PROTOCOL.md, "On a stick", describes them for other programs.
const (
	stickTop     = "GATEPOST"
	stickReceipt = "receipt.json"
	stickAgain   = "again.txt"
	stickPart    = ".part"
	stickDown    = "down"
	stickOrder   = ".order"

	maxReceipt = 4 << 10 // bytes
	maxNames   = 1 << 16 // of a folder; FAT32 has no more
)

// ErrStickFull means that no more fits on the stick. What it had got by then is whole.
var ErrStickFull = errors.New("stick is full")

// errUnfit means that what has a file's name cannot be that file.
var errUnfit = errors.New("not of this layout")

var (
	deviceName = regexp.MustCompile(`^[0-9a-f]{16}$`)
	spanName   = regexp.MustCompile(`^([0-9]{16})-([0-9]{16})\.batch$`)
)

// A Stick is the folder of a USB stick: batches on their way to a hub and receipts on their way back, for any number of
// devices. A file has its name only when it is whole. Nothing outside the folder is ever touched, wherever links lead.
// It serves one goroutine.
type Stick struct{ root *os.Root }

// A Span names a batch on a stick by the sequences for which it stands.
type Span struct{ First, Last uint64 }

// String returns the name of the batch's file.
func (p Span) String() string { return fmt.Sprintf("%016d-%016d.batch", p.First, p.Last) }

// OpenStick opens the stick that is mounted at dir. The caller must close it before it is unmounted.
func OpenStick(dir string) (*Stick, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open stick: %w", err)
	}
	return &Stick{root}, nil
}

// Close lets go of the stick.
func (s *Stick) Close() error { return s.root.Close() }

// Devices returns the devices that have a folder, in order; none on an empty stick.
func (s *Stick) Devices() (ids []string, err error) {
	names, err := s.names(stickTop)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, n := range names {
		if deviceName.MatchString(n) {
			ids = append(ids, n)
		}
	}
	return ids, err
}

// Batches returns the batches of a device by their first sequence, the longest first where several begin alike.
func (s *Stick) Batches(device string) (list []Span, err error) {
	names, err := s.names(path.Join(stickTop, device))
	for _, n := range names {
		if m := spanName.FindStringSubmatch(n); m != nil {
			first, _ := strconv.ParseUint(m[1], 10, 64) // 16 digits always fit
			last, _ := strconv.ParseUint(m[2], 10, 64)
			list = append(list, Span{first, last})
		}
	}
	slices.SortFunc(list, func(a, b Span) int {
		if a.First == b.First {
			return strings.Compare(b.String(), a.String())
		}
		return strings.Compare(a.String(), b.String())
	})
	return list, err
}

// Batch returns the bytes of a batch, which prove nothing before they are checked.
func (s *Stick) Batch(device string, p Span) ([]byte, error) {
	return s.read(path.Join(stickTop, device, p.String()), wire.MaxBatch)
}

// Receipt returns the receipt that waits for a device, unchecked; ok is false when there is none.
func (s *Stick) Receipt(device string) (r entry.Receipt, ok bool, err error) {
	raw, err := s.read(path.Join(stickTop, device, stickReceipt), maxReceipt)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("receipt on the stick: %w", err)
	}
	return r, true, nil
}

// Answer leaves on the stick where a hub stands with a device: its receipt, and, when behind is true, that the hub lacks
// entries before those on the stick, so that the device exports from there again.
func (s *Stick) Answer(state wire.State, behind bool) error {
	dir := path.Join(stickTop, state.Device)
	if state.Receipt != nil {
		raw, err := json.Marshal(state.Receipt)
		if err != nil {
			return err
		}
		if err := s.write(path.Join(dir, stickReceipt), append(raw, '\n')); err != nil {
			return err
		}
	}
	again := path.Join(dir, stickAgain)
	if behind {
		return s.write(again, fmt.Appendf(nil, "%d\n", state.Seq))
	}
	if err := s.root.Remove(again); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// again returns the sequence behind which a hub asks for everything once more. Nobody signs that, so it must cost no
// more than space on the stick; what is not a number is as good as nothing.
func (s *Stick) again(device string) (seq uint64, ok bool) {
	raw, err := s.read(path.Join(stickTop, device, stickAgain), 32)
	if err != nil {
		return 0, false
	}
	seq, err = strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	return seq, err == nil
}

// prepare makes the folder of a device and removes what an earlier export left unfinished there.
func (s *Stick) prepare(device string) error {
	dir := path.Join(stickTop, device)
	if err := s.root.MkdirAll(dir, 0o755); err != nil {
		return full(err)
	}
	for _, d := range []string{".", stickTop} {
		if err := s.syncDir(d); err != nil {
			return err
		}
	}
	names, err := s.names(dir)
	for _, n := range names {
		if strings.HasSuffix(n, stickPart) {
			err = errors.Join(err, s.root.Remove(path.Join(dir, n)))
		}
	}
	return err
}

// names returns what a folder holds, in order.
func (s *Stick) names(dir string) ([]string, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxNames + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("%s holds more than %d files", dir, maxNames)
	}
	slices.Sort(names)
	return names, nil
}

// read returns a file of at most max bytes.
func (s *Stick) read(name string, max int64) ([]byte, error) {
	if info, err := s.root.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no file", errUnfit, name)
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, max+1))
	if int64(len(raw)) > max {
		return nil, fmt.Errorf("%w: %s exceeds %d bytes", errUnfit, name, max)
	}
	return raw, err
}

// write makes a file that has its name only when all of it is on the stick.
func (s *Stick) write(name string, raw []byte) error {
	part := name + stickPart
	err := s.fill(part, raw)
	if err == nil {
		err = s.root.Rename(part, name)
	}
	if err != nil {
		s.root.Remove(part) // on a stick that has gone, the next one to write removes it
		return full(err)
	}
	return s.syncDir(path.Dir(name))
}

func (s *Stick) fill(name string, raw []byte) error {
	f, err := s.root.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Stick) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// full says in plain words that there is no room.
func full(err error) error {
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, why) {
			return fmt.Errorf("%w: %w", ErrStickFull, err)
		}
	}
	return err
}
