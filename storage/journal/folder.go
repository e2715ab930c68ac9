package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"gatepost/storage/entry"
)

// The folder of a journal.
const (
	spareName   = "spare"   // an empty file that waits for its turn
	damagedName = "damaged" // a folder for what was set aside
	newSuffix   = ".new"    // of a file that is not complete
)

var filePattern = regexp.MustCompile(`^[0-9]{16}\.db$`)

// fileName names the file that begins behind start by the first sequence that it may hold.
func fileName(start entry.Head) string { return fmt.Sprintf("%016d.db", start.Seq+1) }

// startOf returns what a file's name tells of the head behind which it begins: the sequence.
func startOf(name string) (start entry.Head) {
	fmt.Sscanf(name, "%d", &start.Seq)
	start.Seq--
	return start
}

// fileNames returns the names of a journal's files, oldest first.
func fileNames(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range all {
		if filePattern.MatchString(d.Name()) {
			names = append(names, d.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// makeDir makes dir and its name durable.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockDir locks the folder itself, to write or to read, waiting for at most wait.
func lockDir(dir string, write bool, wait time.Duration) (*os.File, error) {
	how := syscall.LOCK_SH
	if write {
		how = syscall.LOCK_EX
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(wait); ; <-tick.C {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end) {
			continue
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// A folder is what survey read of a journal's files.
type folder struct {
	part   bool // of a journal: files before the first may be elsewhere
	found  []*finding
	purged []string // names of files that lie before the first entry: a power cut came before their deletion
}

// survey reads the files of a journal: the newest whole, the others whole or, which is fast, their ends. What is wrong
// with a file stands in its finding. The error says that the folder cannot be read at all, or belongs to another device
// than the one given, if one is.
func (f *folder) survey(dir, device string, whole bool) error {
	names, err := fileNames(dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		found := examine(filepath.Join(dir, name), whole || i == len(names)-1)
		switch {
		case found.err != nil && !errors.Is(found.err, ErrDamaged):
			return found.err
		case device != "" && found.Device != "" && found.Device != device:
			return fmt.Errorf("%w: %q", ErrDevice, found.Device)
		}
		f.found = append(f.found, found)
	}
	f.join()
	return nil
}

// join checks that the first file begins where it should, and that each goes on where the one before it ends.
func (f *folder) join() {
	if len(f.found) == 0 {
		return
	}
	newest := f.found[len(f.found)-1]
	for len(f.found) > 1 && newest.trust == exactly && f.found[1].name <= fileName(newest.Before) {
		f.purged, f.found = append(f.purged, f.found[0].name), f.found[1:]
	}
	if !f.part && newest.trust == exactly && f.found[0].trust == exactly && newest.Before.Seq < f.found[0].Start.Seq {
		lost := &finding{name: fileName(newest.Before), err: fmt.Errorf("%w: it is missing", ErrDamaged)}
		f.found = append([]*finding{lost}, f.found...)
	}
	for i, found := range f.found {
		if found.err != nil {
			continue
		}
		if found.name != fileName(found.Start) {
			found.err = fmt.Errorf("%w: it begins behind entry %d", ErrDamaged, found.Start.Seq)
		} else if i > 0 && f.found[i-1].err == nil && f.found[i-1].Head != found.Start {
			f.found[i-1].err = fmt.Errorf("%w: it ends with entry %d, and %s goes on behind entry %d or another one", ErrDamaged, f.found[i-1].Head.Seq, found.name, found.Start.Seq)
		}
	}
}

// trim gives back what a sealed file does not use of its space. A second time changes nothing.
func trim(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := newestImage(f, info.Size())
	if err != nil || int64(m.pages)*pageSize >= info.Size() {
		return err
	}
	return errors.Join(f.Truncate(int64(m.pages)*pageSize), f.Sync())
}
