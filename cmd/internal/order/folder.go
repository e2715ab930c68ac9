package order

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	newSuffix = ".new" // of a file that is not whole yet
	maxFile   = 1 << 20
)

// A folder keeps files that are whole or not there, whenever the power goes. It belongs to one program at a time.
type folder struct {
	dir  string
	lock *os.File
	step func(what string) error // nil but in tests, where it ends the program before a step
}

// openFolder makes the folder where it is missing and locks it.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another program: %w", dir, err), lock.Close())
	}
	return &folder{dir: dir, lock: lock}, nil
}

func (f *folder) close() error { return f.lock.Close() }

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) read(name string) ([]byte, error) {
	r, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%s exceeds %d bytes", name, maxFile)
	}
	return raw, err
}

// write puts a file in the place of an older one; when it returns, it is on the disk.
func (f *folder) write(name string, raw []byte) error {
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"write", func() error { return f.fill(name+newSuffix, raw) }},
		{"rename", func() error { return os.Rename(f.path(name+newSuffix), f.path(name)) }},
		{"sync", f.lock.Sync},
	} {
		if f.step != nil {
			if err := f.step(s.what + " " + name); err != nil {
				return err
			}
		}
		if err := s.do(); err != nil {
			return fmt.Errorf("keep orders: %w", err)
		}
	}
	return nil
}

func (f *folder) fill(name string, raw []byte) error {
	w, err := os.OpenFile(f.path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// orders returns the names of all files of orders.
func (f *folder) orders() (names []string, err error) {
	files, err := os.ReadDir(f.dir)
	for _, d := range files {
		if strings.HasSuffix(d.Name(), orderSuffix) {
			names = append(names, d.Name())
		}
	}
	return names, err
}

// remove removes what is no longer needed. It need not last: what comes back is removed again.
func (f *folder) remove(name string) error {
	if f.step != nil {
		if err := f.step("remove " + name); err != nil {
			return err
		}
	}
	return os.Remove(f.path(name))
}
