package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/hd1"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var rewrite = flag.Bool("update", false, "write the console's pictures into docs")

// A day is a gate at work, and a browser that looks at its guard's page.
type day struct {
	*testing.T
	dir, base string
	declarer  ed25519.PrivateKey
	issuer    ed25519.PrivateKey
	ctx       context.Context // the browser's
	axe       string          // the accessibility checker's script
	people    int
}

// TestGuardsDay goes through a shift in a browser: the badge, thirty people, a refusal, somebody with no code, an undo, the
// roll-call, the self-test, the settings, the hand-over. At every step axe-core looks for what a keyboard, a screen reader
// or weak eyes would stumble over.
func TestGuardsDay(t *testing.T) {
	d := newDay(t)
	if d == nil {
		return
	}
	d.show(d.badge("g-004", wire.RoleGuard))
	d.until("the shift begins", `document.querySelector("#shift").textContent.includes("g-004")`)
	for i := range 30 { // at two lanes at once
		d.approach(fmt.Sprintf("gate-%d", 1+i%2), d.declaration(false))
	}
	d.gone()
	d.until("thirty people are in", `document.querySelector("#shift").textContent.includes("vào 30,")`)
	d.approach("gate-1", d.declaration(true)) // a verdict stands for a few seconds only
	d.until("a refusal", `document.querySelector("[data-face=stop]")`)
	d.look("console-stop", true)

	d.click("[data-open=write]")
	d.look("console-write", false)
	d.fill("#write-form", map[string]string{"name": "Lê Thị Đào", "birth": "1961", "slip": "K-0042"})
	d.click("#write-form [type=submit]")
	d.until("the questions for somebody with no code", `document.querySelector("#ask:not([hidden]) fieldset") && !document.querySelector("#write").open`)
	d.look("console", true)
	d.eval(`document.querySelectorAll("#ask input[value=no]").forEach(i => i.click())`)
	d.fill("#ask", map[string]string{"by": "Lê Văn Con"})
	d.click("#ask [type=submit]")
	d.until("they are in", `document.querySelector("#shift").textContent.includes("vào 31,")`)

	d.click("#recent li:first-child button")
	d.look("console-undo", false)
	d.click("[data-why=left]")
	d.until("the passage is undone", `document.querySelector("#recent .undone") && document.querySelector("#shift").textContent.includes("vào 30,")`)

	d.press("#roll-open", kb.Enter) // by keyboard
	d.until("the roll", `document.querySelectorAll("#roll-list li").length == 30`)
	d.look("console-roll", false)
	d.press("#roll-list input", kb.Escape)
	d.until("the roll is closed", `!document.querySelector("#roll").open`)

	d.click("[data-open=test]")
	d.click("#test-run")
	d.until("the self-test", `document.querySelectorAll("#test-list li").length >= 4`)
	d.look("console-test", false)
	d.click("#test [data-close]")

	d.click("[data-open=settings]")
	d.until("locked settings", `document.querySelector("#settings-fields").disabled`)
	d.show(d.badge("s-001", wire.RoleSupervisor))
	d.until("open settings", `!document.querySelector("#settings-fields").disabled`)
	d.look("console-settings", false)
	d.click("#settings [name=names]")
	d.click("#settings-save")
	d.until("saved settings", `!document.querySelector("#settings").open`)
	d.gone()
	// A green stands for a second, which a busy machine may not paint: every drawing is noted.
	d.eval(`window.who = []; new MutationObserver(() => document.querySelectorAll("[data-face=go] .who").forEach(e => window.who.push(e.textContent))).observe(document.querySelector("#faces"), { childList: true })`)
	d.approach("gate-1", d.declaration(false))
	d.until("no name on the screen", `window.who.length && window.who.every(name => name === "")`)

	d.click("[data-open=help]")
	d.look("console-help", false)
	d.click("#help [data-close]")
	d.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	d.until("nothing is wider than a telephone", `document.documentElement.scrollWidth <= 390`)
	d.look("console-phone", true)

	d.show(d.badge("g-017", wire.RoleGuard))
	d.until("the next shift", `document.querySelector("#shift").textContent.includes("g-017") && document.querySelectorAll("#recent li").length == 0`)
}

// newDay starts a gate with keys of its own and a browser; nil where there is none.
func newDay(t *testing.T) *day {
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("no chromium on this machine")
	} else if err != nil || testing.Short() {
		t.Skip("needs chromium")
	}
	d := &day{T: t, dir: t.TempDir()}
	for _, kind := range []string{"declarer", "issuer", keyfile.Authority} {
		d.must(keyfile.Create(filepath.Join(d.dir, kind), kind, kind))
	}
	d.declarer, err = keyfile.Private(filepath.Join(d.dir, "declarer", "declarer.key"))
	d.must(err)
	d.issuer, err = keyfile.Private(filepath.Join(d.dir, "issuer", "issuer.key"))
	d.must(err)
	d.must(os.Mkdir(filepath.Join(d.dir, "trust"), 0o700))
	d.must(os.Rename(filepath.Join(d.dir, "declarer", "declarer.pub.pem"), filepath.Join(d.dir, "trust", "declarer.pem")))
	d.must(os.WriteFile(filepath.Join(d.dir, "policy.toml"), []byte("schema = 1\n[policy]\nforms = [\"covid-2021\"]\nroll_call = true\n"), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	d.base = "http://" + l.Addr().String() + "/"
	config := fmt.Sprintf(`schema = 1
policy = "policy.toml"
[venue]
name = "Nhà máy Mẫu"
clock = "system"
[keys]
authority = "authority/authority.pub.pem"
declarers = "trust"
issuer = "issuer/issuer.pub.pem"
[console]
listen = %q
[[lane]]
name = "gate-1"
source = "sim:manual"
direction = "in"
schedule = ["00:00 in", "23:59 in"]
[[lane]]
name = "gate-2"
source = "sim:manual"
direction = "in"
`, l.Addr())
	l.Close()
	d.must(os.WriteFile(filepath.Join(d.dir, "kiosk.toml"), []byte(config), 0o600))
	d.run()
	d.browse(path)
	return d
}

func (d *day) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// run runs the gate until the test ends, and then looks at what it kept and said.
func (d *day) run() {
	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- program.Run(ctx, []string{"-config", filepath.Join(d.dir, "kiosk.toml")}, io.Discard, &log)
	}()
	d.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			d.Errorf("the gate ended with %d:\n%s", code, log.String())
		}
		if !d.Failed() {
			d.kept()
		}
		for _, name := range []string{"Đào", "Canary"} {
			if strings.Contains(log.String(), name) {
				d.Errorf("a name is in the log:\n%s", log.String())
			}
		}
	})
	for {
		r, err := http.Get(d.base)
		if err == nil {
			r.Body.Close()
			return
		}
		select {
		case code := <-ended:
			ended <- code
			d.Fatal("the gate does not run")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kept holds the journal against the day.
func (d *day) kept() {
	j, err := journal.Open(filepath.Join(d.dir, "gatekiosk-data", "journal"), journal.Options{Device: deviceOf(d)})
	d.must(err)
	defer j.Close()
	var shifts []entry.Shift
	why := ""
	for e, err := range j.Last(1000) {
		d.must(err)
		if s, err := entry.Decode[entry.Shift](e); err == nil {
			shifts = append(shifts, s)
		}
		if u, err := entry.Decode[entry.Undo](e); err == nil {
			why = u.Why
		}
	}
	if why != "left" || len(shifts) != 2 {
		d.Fatalf("undone for %q, shifts %+v", why, shifts)
	}
	s := shifts[1]
	if s.Guard != "g-017" || s.Before != "g-004" || s.In != 31 || s.Out != 0 || s.Refused != 1 || s.Looked != 1 || s.Undone != 1 {
		d.Errorf("the shift that ended: %+v", s)
	}
}

func deviceOf(d *day) string {
	key, err := keyfile.Public(filepath.Join(d.dir, "gatekiosk-data", "device.pub.pem"))
	d.must(err)
	return entry.DeviceID(key)
}

func (d *day) badge(number, role string) string {
	text, err := wire.SignBadge(d.issuer, wire.Badge{Number: number, Role: role, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	d.must(err)
	return text
}

// declaration is another person's, with signs or without.
func (d *day) declaration(signs bool) string {
	d.people++
	answers := map[string]any{"travel": false, "signs": signs, "case": false, "abroad": false, "contact": false}
	text, err := hd1.Issue(d.declarer, credential.Person{Name: fmt.Sprintf("Nguyễn Canary %c%c", 'A'+d.people/26, 'a'+d.people%26), Birth: "1990"}, credential.Declaration{
		Form: "covid-2021", Version: 1, Answers: answers, Issued: time.Now(), Expires: time.Now().Add(24 * time.Hour), Tail: fmt.Sprintf("%04d", d.people),
	})
	d.must(err)
	return text
}

// show holds a code before the first lane's camera and waits until the gate has seen it, whatever it made of it.
func (d *day) show(text string) {
	d.Helper()
	d.approach("gate-1", text)
	d.gone()
}

// approach has somebody come to a lane, behind those who wait there.
func (d *day) approach(lane, text string) {
	d.Helper()
	body, err := json.Marshal(map[string]any{"lane": lane, "texts": []string{text}, "hold_ms": 400})
	d.must(err)
	r, err := http.Post(d.base+"sim", "application/json", bytes.NewReader(body))
	d.must(err)
	r.Body.Close()
	if r.StatusCode != http.StatusNoContent {
		d.Fatal(r.Status)
	}
}

// gone waits until nobody stands at any lane.
func (d *day) gone() {
	d.Helper()
	for waiting := 1; waiting > 0; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(d.base + "sim")
		d.must(err)
		lanes := map[string]int{}
		err = json.NewDecoder(r.Body).Decode(&lanes)
		r.Body.Close()
		d.must(err)
		waiting = lanes["gate-1"] + lanes["gate-2"]
	}
}

// browse opens the page, and fetches axe-core, which Chromium has in its own developer's tools.
func (d *day) browse(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("no-proxy-server", true),
		chromedp.WindowSize(1280, 800))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	d.Cleanup(stop)
	ctx, stopTab := chromedp.NewContext(ctx)
	d.Cleanup(stopTab)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	d.Cleanup(cancel)
	d.ctx = ctx
	d.do(chromedp.Navigate("devtools://devtools/bundled/third_party/lighthouse/lighthouse-dt-bundle.js"))
	bundle, err := chromedp.Run(d.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	d.must(err)
	literal := regexp.MustCompile("(?s)`/\\*! axe v[^`\\\\]*(?:\\\\.[^`\\\\]*)*`").FindString(bundle)
	if literal == "" {
		d.Fatal("this Chromium has no axe-core")
	}
	d.axe, err = chromedp.Run(d.ctx, chromedp.Evaluate[string](literal))
	d.must(err)
	d.do(chromedp.Navigate(d.base))
}

func (d *day) do(steps ...chromedp.Action[chromedp.Void]) {
	d.Helper()
	d.must(chromedp.Do(d.ctx, steps...))
}

func (d *day) eval(script string) {
	d.Helper()
	_, err := chromedp.Run(d.ctx, chromedp.Evaluate[chromedp.Void](script))
	d.must(err)
}

func (d *day) click(selector string) {
	d.Helper()
	d.until(selector, fmt.Sprintf("document.querySelector(%q) && !document.querySelector(%q).disabled", selector, selector))
	d.do(chromedp.Click(selector, chromedp.NodeVisible))
}

// press presses a key on what a keyboard can reach.
func (d *day) press(selector, key string) {
	d.Helper()
	d.eval(fmt.Sprintf("document.querySelector(%q).focus()", selector))
	d.do(chromedp.KeyEvent(key))
}

func (d *day) fill(form string, fields map[string]string) {
	d.Helper()
	for name, text := range fields {
		d.do(chromedp.SendKeys(fmt.Sprintf("%s [name=%s]", form, name), text))
	}
}

// until waits for what the page must show.
func (d *day) until(what, expression string) {
	d.Helper()
	if _, err := chromedp.Run(d.ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		text, _ := chromedp.Run(d.ctx, chromedp.Text("body"))
		d.Fatalf("%s: %v; the page says\n%s", what, err, text)
	}
}

// look has axe-core judge the page as it stands, and keeps its picture where it is asked to.
func (d *day) look(name string, keep bool) {
	d.Helper()
	d.eval(d.axe)
	found, err := chromedp.Run(d.ctx, chromedp.Evaluate[string](
		`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.failureSummary).join("; ")).join("\n"))`,
		chromedp.EvalAwaitPromise))
	d.must(err)
	if found != "" {
		d.Errorf("%s: axe-core finds\n%s", name, found)
	}
	if dir := os.Getenv("GATEPOST_PICTURES"); *rewrite && keep || dir != "" {
		png, err := chromedp.Run(d.ctx, chromedp.CaptureScreenshot())
		if dir == "" {
			dir = filepath.Join("..", "..", "docs")
		}
		d.must(errors.Join(err, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)))
	}
}
