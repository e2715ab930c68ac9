package enrol_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
)

var bin string // where the programs of this run are built

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatepost-test-")
	if err != nil {
		panic(err)
	}
	bin = filepath.Join(dir, "bin")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// programs builds the programs once for all tests of a run.
var programs = sync.OnceValue(func() error {
	tree, err := filepath.Abs("../../..")
	for _, name := range []string{"gatekiosk", "gatehub", "gatectl"} {
		err = errors.Join(err, demo.Build(context.Background(), tree, bin, name))
	}
	return err
})

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A site is a hub's folder, an issuer's, and ports.
type site struct {
	t    *testing.T
	dir  string
	hub  string // address
	stop func() // ends the hub
}

func newSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	must(t, programs())
	s := &site{t: t, dir: t.TempDir(), hub: freePort(t)}
	s.ctl("keygen", "-kind", "issuer", "-out", "keys")
	s.ctl("keygen", "-kind", "authority", "-out", "keys")
	s.write("hub.toml", "schema = 1\ndata = \"hub\"\nlisten = \""+s.hub+"\"\npages = \"\"\nissuer = \"keys/issuer.pub.pem\"\n")
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

// ctl runs gatectl and returns what it wrote.
func (s *site) ctl(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "gatectl"), args...)
	cmd.Dir = s.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("gatectl %q: %v\n%s", args, err, &errs)
	}
	return string(out)
}

// start runs a program over a configuration, its log in NAME.log, and returns what ends it.
func (s *site) start(program, name string) (end func(syscall.Signal)) {
	s.t.Helper()
	log, err := os.OpenFile(s.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.t, err)
	cmd := exec.Command(filepath.Join(bin, program), "-config", s.path(name+".toml"))
	cmd.Stdout, cmd.Stderr = log, log
	must(s.t, cmd.Start())
	must(s.t, log.Close())
	var once sync.Once
	end = func(sig syscall.Signal) { once.Do(func() { cmd.Process.Signal(sig); cmd.Wait() }) }
	s.t.Cleanup(func() { end(syscall.SIGKILL) })
	return end
}

func (s *site) startHub() {
	s.t.Helper()
	end := s.start("gatehub", "hub")
	s.stop = func() { end(syscall.SIGTERM) }
	s.await("the hub", func() bool {
		c, err := net.Dial("tcp", s.hub)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// codes issues an enrolment into the folder name.
func (s *site) codes(name string) {
	s.t.Helper()
	s.ctl("enrol", "-key", "keys/issuer.key", "-hub", "https://"+s.hub, "-ca", "hub/tls/ca.pem", "-receipt-key", "hub/receipt.pub.pem",
		"-authority", "keys/authority.pub.pem", "-venue", "Chợ Mê Linh", "-area", "Mê Linh", "-name", "cho-1", "-out", name)
}

// A unit is one gatekiosk that knows nothing but its lanes.
type unit struct {
	*site
	name, page string
	end        func(syscall.Signal)
}

// unit makes one that reads the codes of a folder, and then whoever is shown to it.
func (s *site) unit(name, codes string) *unit {
	s.t.Helper()
	u := &unit{site: s, name: name, page: freePort(s.t)}
	s.write(name+".toml", fmt.Sprintf(`schema = 1
data = "%s"
enrol = true
[venue]
clock = "system"
[[lane]]
name = "gate-1"
source = "sim:manual"
direction = "in"
[[lane]]
name = "codes"
source = "files:%s"
direction = "in"
[uplink]
interval = "1s"
[console]
listen = "%s"
`, name, s.path(codes), u.page))
	return u
}

func (u *unit) start() { u.t.Helper(); u.end = u.site.start("gatekiosk", u.name) }

// state asks the unit's page; ok is false while there is none.
func (u *unit) state() (s guard.State, ok bool) {
	r, err := http.Get("http://" + u.page + "/state.json")
	if err != nil {
		return s, false
	}
	defer r.Body.Close()
	return s, json.NewDecoder(r.Body).Decode(&s) == nil
}

func (u *unit) until(what string, ok func(guard.State) bool) (last guard.State) {
	u.t.Helper()
	u.await(what, func() bool {
		s, there := u.state()
		last = s
		return there && ok(s)
	})
	return last
}

func (s *site) await(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			logs, _ := filepath.Glob(s.path("*.log"))
			for _, l := range logs {
				text, _ := os.ReadFile(l)
				s.t.Logf("%s:\n%s", filepath.Base(l), text)
			}
			s.t.Fatalf("%s did not come", what)
		}
	}
}

func enrolled(s guard.State) bool { return s.Enrol == nil && s.Venue == "Chợ Mê Linh" }

// show lets somebody pass at the simulated lane.
func (u *unit) show(text string) {
	u.t.Helper()
	body, err := json.Marshal(map[string]any{"lane": "gate-1", "texts": []string{text}})
	must(u.t, err)
	u.await("the simulated lane", func() bool {
		r, err := http.Post("http://"+u.page+"/sim", "application/json", bytes.NewReader(body))
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusNoContent
	})
}

// pulled returns the devices of which the hub holds passages, and the lanes of those.
func (s *site) pulled() map[string][]string {
	s.t.Helper()
	all := map[string][]string{}
	out := s.ctl("pull", "-hub", "https://"+s.hub, "-ca", "hub/tls/ca.pem", "-token", "hub/token")
	for line := range strings.Lines(out) {
		var l struct{ Device, Kind, Lane string }
		must(s.t, json.Unmarshal([]byte(line), &l))
		if l.Kind == "passage" {
			all[l.Device] = append(all[l.Device], l.Lane)
		}
	}
	return all
}

const (
	cardA = "012345678912|123456789|Nguyễn Văn A|01011990|Nam|Xã Mẫu|01012022"
	cardB = "001185000202||Trần Thị Bích|20081985|Nữ|Xã Mẫu|01012022"
)

// The whole way with the real programs: codes on paper make a gate while the hub is out of reach, its entries come to the
// puller when the hub is back; the same codes make no second gate; and new codes make another unit take its place.
func TestFromCodeToPuller(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startHub()
	s.codes("codes")
	s.stop()

	one := s.unit("one", "codes")
	one.start()
	state := one.until("the gate", enrolled)
	one.show(cardA)
	one.until("a passage that waits", func(s guard.State) bool { return len(s.Recent) == 1 && s.Unsent > 0 && !s.Online })
	s.startHub()
	one.until("the last receipt", func(s guard.State) bool { return s.Unsent == 0 && s.Online && s.Saved > 0 })
	if got := s.pulled(); len(got) != 1 || !slices.Equal(got[state.Device], []string{"gate-1"}) {
		t.Errorf("the puller has %v of %s", got, state.Device)
	}

	two := s.unit("two", "codes")
	two.start()
	two.until("the hub's refusal", func(s guard.State) bool {
		return enrolled(s) && slices.ContainsFunc(s.Faults, func(f string) bool { return strings.Contains(f, "another device has used this enrolment") })
	})
	two.end(syscall.SIGTERM)

	s.codes("codes-3")
	three := s.unit("three", "codes-3")
	three.start()
	swapped := three.until("the swapped unit", enrolled)
	three.show(cardB)
	three.until("its receipt", func(s guard.State) bool { return s.Unsent == 0 && len(s.Recent) == 1 })
	one.show(cardB)
	one.until("the old unit's backlog", func(s guard.State) bool { return s.Unsent == 0 && len(s.Recent) == 2 })
	if got := s.pulled(); len(got) != 2 || len(got[state.Device]) != 2 || len(got[swapped.Device]) != 1 {
		t.Errorf("the puller has %v of %s and %s", got, state.Device, swapped.Device)
	}
	record, err := os.ReadFile(s.path("hub/devices/cho-1.toml"))
	if must(t, err); !strings.Contains(string(record), "replaced_by = \""+swapped.Device+"\"") {
		t.Errorf("the old unit's record:\n%s", record)
	}
	one.end(syscall.SIGTERM)
	three.end(syscall.SIGTERM)
	for _, log := range []string{"hub.log", "one.log", "three.log"} {
		text, err := os.ReadFile(s.path(log))
		if must(t, err); bytes.Contains(text, []byte("cloned")) {
			t.Errorf("%s says cloned:\n%s", log, text)
		}
	}
}

// A unit that dies at any step of its first start is enrolled or it is not, and becomes the gate when it starts again.
func TestFirstStartIsCutAnywhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startHub()
	s.stop() // it has made its keys; the rest goes without it
	s.codes("codes")
	for i, step := range []string{
		"enrolment", "enrolment/enrolment.cbor.new", "enrolment/enrolment.cbor", "enrolment/authority.pub.pem", "enrolment/network.toml.new",
		"enrolment/network.toml", "device.key.new", "device.pub.pem", "device.key", "journal", "memory",
	} {
		u := s.unit(fmt.Sprintf("unit-%d", i), "codes")
		u.start()
		u.await(step, func() bool {
			_, err := os.Stat(s.path(u.name + "/" + step))
			return err == nil || moved(s.path(u.name), step)
		})
		u.end(syscall.SIGKILL)
		before, err := keyfile.Fingerprint(s.path(u.name + "/device.pub.pem"))
		_, keyed := os.Stat(s.path(u.name + "/device.key"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("killed at %s: %v", step, err)
		}
		u.start()
		state := u.until("the gate after a kill at "+step, enrolled)
		if keyed == nil && state.Device != before {
			t.Errorf("killed at %s: device %s before, %s after", step, before, state.Device)
		}
		u.end(syscall.SIGKILL)
		u.start()
		if again := u.until("the gate once more", enrolled); again.Device != state.Device {
			t.Errorf("killed at %s: device %s, and %s later", step, state.Device, again.Device)
		}
		u.end(syscall.SIGKILL)
	}
}

// moved tells that a step's file is there no more under its passing name: the unit was quicker than the look at it.
func moved(dir, step string) bool {
	later := regexp.MustCompile(`\.new$`).ReplaceAllString(step, "")
	_, err := os.Stat(filepath.Join(dir, later))
	return later != step && err == nil
}
