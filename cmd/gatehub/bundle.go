package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"gatepost/sync/wire"
)

// bundleName is the name of a file that a gate may ask for.
var bundleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.bundle$`)

// bundles serves the systems that updates bring, from a folder: GET /v1/bundles/NAME, also parts of one. They hold nothing
// secret, and whoever takes one believes the hash in the order alone.
type bundles struct{ dir string }

func (b bundles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		wire.Problem{Type: wire.ProblemRequest, Status: http.StatusMethodNotAllowed, Title: "method not served here"}.Write(w)
		return
	}
	f, info, err := b.open(r.PathValue("name"))
	if err != nil {
		wire.Problem{Type: wire.ProblemRequest, Status: http.StatusNotFound, Title: "no such bundle"}.Write(w)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(slowly{w, http.NewResponseController(w)}, r, "", info.ModTime(), f)
}

func (b bundles) open(name string) (*os.File, fs.FileInfo, error) {
	if !bundleName.MatchString(name) {
		return nil, nil, errors.New("no name of a bundle")
	}
	f, err := os.Open(filepath.Join(b.dir, name))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("no file")
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// slowly lets an answer take as long as it needs while its peer goes on taking it.
type slowly struct {
	http.ResponseWriter
	ctl *http.ResponseController
}

func (s slowly) Write(p []byte) (int, error) {
	s.ctl.SetWriteDeadline(time.Now().Add(stallTime)) // fails only where no deadline exists
	return s.ResponseWriter.Write(p)
}
