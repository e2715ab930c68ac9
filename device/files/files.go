// Package files is a camera whose frames are the pictures of a folder: PGM, PNG and JPEG in the order of their names,
// each shown once. What is transparent lies on white; colours become their brightness.
//
// A file that cannot be read is passed over and reported. Files that appear after Open are not seen.
package files

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/device"
)

// interval is the time between two frames, long enough for each picture to be a new showing of what is in it.
const interval = 2 * time.Second

// A Folder is a scanner.Camera, for one goroutine.
type Folder struct {
	dir     string
	names   []string // still to be shown
	at      time.Time
	skipped func(name string, err error)
}

// Open lists the pictures in dir, chosen by their extensions. The first frame's time is now, each later one's two
// seconds on, however fast they are taken. skipped is told of each file that cannot be read; it may be nil.
func Open(dir string, skipped func(name string, err error)) (*Folder, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("open folder of pictures: %w", err)
	}
	f := &Folder{dir: dir, at: time.Now(), skipped: skipped}
	for _, e := range entries {
		if slices.Contains([]string{".pgm", ".png", ".jpg", ".jpeg"}, strings.ToLower(filepath.Ext(e.Name()))) && !e.IsDir() {
			f.names = append(f.names, e.Name())
		}
	}
	return f, nil
}

// Next fills frame with the next picture that can be read, and returns device.ErrEnd after the last one.
func (f *Folder) Next(ctx context.Context, frame *device.Frame) error {
	for len(f.names) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := f.names[0]
		f.names = f.names[1:]
		got, err := Load(filepath.Join(f.dir, name))
		if err == nil {
			*frame, frame.At = got, f.at
			f.at = f.at.Add(interval)
			return nil
		}
		if f.skipped != nil {
			f.skipped(name, err)
		}
	}
	return device.ErrEnd
}

// Close ends the folder: nothing more is shown.
func (f *Folder) Close() error {
	f.names = nil
	return nil
}
