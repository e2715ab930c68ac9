// Package cmd holds the tests of the house itself: who may import whom, and what may lie where.
package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// rows is the house from the top floor down: a room imports only from rows below its own. Within scanner, a
// room may also import the rooms that come before it on the way of a frame.
var rows = [][]string{
	{"cmd/gatekiosk", "cmd/gatehub", "cmd/gatectl"},
	{"cmd/internal"},
	{"sync/sim"},
	{"sync/uplink", "sync/hub", "sync/pull"},
	{"storage/journal", "storage/memory", "storage/view", "sync/wire"},
	{"scanner", "device"},
	{"storage/entry", "storage/durable", "storage/detached"},
}

var way = []string{
	"scanner/luma", "scanner/qr/gauss", "scanner/qr/scene", "scanner/qr", "scanner", "scanner/credential/claim", "scanner/credential/envelope", "scanner/credential/", "scanner/credential",
	"scanner/form/strict", "scanner/form", "scanner/admission/roster", "scanner/admission",
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) (pkgs []pkg) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func row(pkg string) int {
	pkg = strings.TrimPrefix(pkg, "gatepost/")
	return slices.IndexFunc(rows, func(rooms []string) bool {
		return slices.ContainsFunc(rooms, func(r string) bool { return pkg == r || strings.HasPrefix(pkg, r+"/") })
	})
}

// place returns where pkg stands on the way of a frame: the longest entry of way that fits.
func place(pkg string) int {
	best, length := -1, 0
	for i, w := range way {
		if (pkg == w || strings.HasSuffix(w, "/") && strings.HasPrefix(pkg, w)) && len(w) >= length {
			best, length = i, len(w)
		}
	}
	return best
}

func allowed(from, to string) bool {
	from, to = strings.TrimPrefix(from, "gatepost/"), strings.TrimPrefix(to, "gatepost/")
	a, b := row(from), row(to)
	switch {
	case to == "device", from == to+"/"+path.Base(to)+"test": // a room's own helper for tests
		return true
	case a < b:
		return true
	case a > b:
		return false
	case strings.HasPrefix(from, "scanner") && strings.HasPrefix(to, "scanner"):
		return place(from) >= 0 && place(to) >= 0 && place(to) < place(from)
	}
	return strings.HasPrefix(from, "cmd/internal/") && strings.HasPrefix(to, "cmd/internal/")
}

func TestImportsRunDown(t *testing.T) {
	for _, p := range list(t, "./cmd/...", "./device/...", "./scanner/...", "./storage/...", "./sync/...") {
		if p.ImportPath == "gatepost/cmd" {
			continue
		}
		if row(p.ImportPath) < 0 && p.ImportPath != "gatepost/device" {
			t.Errorf("%s stands in no row of the house", p.ImportPath)
		}
		for _, to := range p.Imports {
			if strings.HasPrefix(to, "gatepost/") && !allowed(p.ImportPath, to) {
				t.Errorf("%s must not import %s", p.ImportPath, to)
			}
		}
	}
}

// The rule above must be able to fail.
func TestImportRuleRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"gatepost/storage/journal", "gatepost/sync/uplink"},
		{"gatepost/sync/uplink", "gatepost/sync/hub"},
		{"gatepost/scanner/luma", "gatepost/scanner/qr"},
		{"gatepost/scanner/credential", "gatepost/scanner/admission"},
		{"gatepost/device/sim", "gatepost/scanner"},
		{"gatepost/storage/entry", "gatepost/storage/journal"},
		{"gatepost/cmd/internal/kiosk", "gatepost/cmd/gatectl"},
	} {
		if allowed(c[0], c[1]) {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
}

func TestKioskStaysSmall(t *testing.T) {
	for _, dep := range list(t, "./cmd/gatekiosk")[0].Deps {
		for _, heavy := range []string{"github.com/nats-io/", "modernc.org/", "github.com/jackc/"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("gatekiosk links %s", dep)
			}
		}
	}
}

func TestNamesAtTheTop(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains([]string{"cmd", "device", "scanner", "storage", "sync", "buildroot", "docs", "bin"}, e.Name()) {
			t.Errorf("folder %s stands beside the eight names", e.Name())
		}
	}
}
