package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"gatepost/storage/entry"
)

// TestFullDisk needs root, loop devices and mkfs.ext4.
func TestFullDisk(t *testing.T) {
	mount := mountSmall(t)
	if err := os.WriteFile(filepath.Join(mount, "ballast"), make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	runChild(t, "full", filepath.Join(mount, "kiosk"))
}

// mountSmall mounts a file system of 32 MiB for the time of the test.
func mountSmall(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		needs(t, "mount", errors.New("needs root"))
	}
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	for _, args := range [][]string{
		{"truncate", "-s", "32M", image},
		{"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", image},
		{"mkdir", mount},
		{"mount", "-o", "loop", image, mount},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		needs(t, args[0], err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return mount
}

// childReadOnly opens a journal that its user may read and not write.
func childReadOnly(_ child, dir string) error {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	for _, d := range []string{dir, filepath.Join(dir, "new")} {
		if _, err := Open(d, Options{Device: device}); !errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("open %s: %w", d, err)
		}
	}
	if r, err := Check(dir, nil); err != nil || r.Last != 3 || len(r.Damage) > 0 {
		return fmt.Errorf("check: %+v, %w", r, err)
	}
	return nil
}

func TestReadOnlyFolder(t *testing.T) {
	root, err := os.MkdirTemp("", "journal") // t.TempDir's parent may be closed to others
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "kiosk")
	t.Cleanup(func() { os.Chmod(dir, 0o700); os.RemoveAll(root) })
	j := open(t, dir)
	fill(t, j, 3)
	j.Close()
	for path, mode := range map[string]os.FileMode{root: 0o755, filepath.Join(dir, fileName(entry.Head{})): 0o444, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	runChild(t, "readonly", dir)
}

// childSync appends while its fdatasync calls fail by plan, and counts them.
func childSync(t child, dir string) error {
	j := openWith(t, dir, Options{Device: device, Entries: 8})
	rested(t, j)
	s, err := interceptSync()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := j.Append(ctx, draft(t, day, 1)); err != nil {
		return err
	}
	if n := s.data.n.Load(); n != 2 {
		return fmt.Errorf("an entry was acknowledged after %d fdatasyncs, want 2", n)
	}
	for failing := range int32(2) { // of the pages, of the meta page
		s.data.plan(failing + 1)
		if e, err := j.Append(ctx, draft(t, day, 2)); err == nil {
			return fmt.Errorf("entry %d was acknowledged though fdatasync %d failed", e.Seq, failing+1)
		}
		s.data.plan(0)
		if j.Head().Seq != uint64(failing+1) {
			return fmt.Errorf("head %d after a failed append", j.Head().Seq)
		}
		if got, err := j.Range(uint64(failing+1), 10, 1<<20); err != nil || len(got) != 0 {
			return fmt.Errorf("%d entries that were not kept can be read, %w", len(got), err)
		}
		e, err := j.Append(ctx, draft(t, day, 3+int(failing)))
		if err != nil || e.Seq != uint64(failing+2) {
			return fmt.Errorf("entry %d after a failed one: %w", e.Seq, err)
		}
		if n := s.data.n.Load(); n != 2+2+2 { // the meta pages, before the file is let go and after; the commit that makes sure; the entry
			return fmt.Errorf("%d fdatasyncs after a failed one, want 6", n)
		}
	}
	if err := errors.Join(lasting(j, s), unnamed(t, j, s)); err != nil {
		return err
	}
	last := j.Head().Seq
	j.Close()
	r, err := Check(dir, nil)
	if err != nil || len(r.Damage) > 0 || r.Last != last {
		return fmt.Errorf("%+v, %w", r, err)
	}
	return nil
}

// lasting tries a disk whose flushes all fail for a while, and a receipt that fails at the very end.
func lasting(j *Journal, s *syncs) error {
	s.data.plan(-1)
	for range 3 {
		if _, err := j.Append(context.Background(), draft(child{}, day, 9)); err == nil {
			return errors.New("acknowledged while every fdatasync fails")
		}
	}
	s.data.plan(0)
	r := receipt(child{}, j, 2)
	if err := j.PutReceipt(r); err != nil || j.Receipted() != 2 {
		return fmt.Errorf("receipted %d, %w", j.Receipted(), err)
	}
	s.data.plan(2)
	if err := j.PutReceipt(receipt(child{}, j, 3)); err == nil {
		return errors.New("a receipt was kept though its meta page was not synced")
	}
	s.data.plan(0)
	if err := j.Rewind(3); err != nil || j.Receipted() != 3 { // changes nothing but recovers
		return fmt.Errorf("receipted %d, %w", j.Receipted(), err)
	}
	return nil
}

// unnamed turns over to a new file whose name cannot be made durable for a while.
func unnamed(t child, j *Journal, s *syncs) error {
	for j.Head().Seq < 8 {
		if _, err := j.Append(context.Background(), draft(t, day, 1)); err != nil {
			return err
		}
	}
	rested(t, j) // so that what is synced fully from here on is the folder alone
	s.full.plan(-1)
	for range 2 {
		if e, err := j.Append(context.Background(), draft(t, day, 1)); err == nil {
			return fmt.Errorf("entry %d was acknowledged in a file that may have no name after a power cut", e.Seq)
		}
	}
	s.full.plan(0)
	if e, err := j.Append(context.Background(), draft(t, day, 1)); err != nil || e.Seq != 9 {
		return fmt.Errorf("entry %d in the new file: %w", e.Seq, err)
	}
	return nil
}

// TestFailingSync proves that Append waits for both fdatasyncs and takes their word.
func TestFailingSync(t *testing.T) {
	needs(t, "seccomp", canIntercept())
	runChild(t, "sync", t.TempDir())
}
