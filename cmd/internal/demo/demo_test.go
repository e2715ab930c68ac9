package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the pictures of the README")

// A paper is what the demo writes, readable while it writes.
type paper struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

var lastLine = regexp.MustCompile(`\nshown=\d+ admitted=\d+ refused=\d+ stored=(\d+) hub=(\d+) pulled=(\d+) receipted=(\d+) lost=0 doubled=0 names_on_disk=0\n$`)

// freePage builds the programs, so that a machine that has never built them has time for the story, and returns
// where a viewer's page can listen.
func freePage(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	if _, err := programs(); err != nil {
		t.Fatal(err)
	}
	addrs, err := FreeAddrs("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// TestDemo runs the whole gate, programs and all, while a browser looks on. No page may show a full name.
func TestDemo(t *testing.T) {
	page := freePage(t)
	var out paper
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	seen := make(chan map[string]string, 1)
	go func() { seen <- look(t, ctx, "http://"+page+"/") }()
	if err := Run(ctx, Options{For: 40 * time.Second, Page: page, Out: &out}); err != nil {
		t.Errorf("demo: %v", err)
	}
	t.Logf("\n%s", out.String())
	for _, step := range []string{
		"✓ a signed declaration: admit", "✓ a declaration with a cough: refuse", "✓ a bare card: look", "✓ the guard asks the questions: admit",
		"✓ the same card goes home: admit", "✓ the same bare card, second visit: admit", "✓ an expired declaration: refuse",
		"✓ two codes at once: look", "no hub yet: saved 9, unsent 9", "the hub appears", "unsent 0: every entry has the hub's receipt",
		"✓ the officer's page counts", "the kiosk is killed (-9)", "✓ the kiosk is back, its last green", "✓ a plain curl pulls",
	} {
		if !strings.Contains(out.String(), step) {
			t.Errorf("nobody was told %q", step)
		}
	}
	if strings.Contains(out.String(), "✗") || !lastLine.MatchString(out.String()) {
		t.Error("a step went another way, or the last line does not hold")
	}
	cancel()
	for page, text := range <-seen {
		for _, name := range new(demo).secrets() {
			if strings.Contains(text, name) {
				t.Errorf("the %s page shows a full name", page)
			}
		}
	}
}

// TestViewerBreaksThings presses every button of the viewer's page, in the middle of the story.
func TestViewerBreaksThings(t *testing.T) {
	page := freePage(t)
	base := "http://" + page + "/"
	var out paper
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), Options{For: 40 * time.Second, Page: page, Out: &out}) }()
	press := func(button string) {
		r, err := local.Post(base+button, "application/x-www-form-urlencoded", nil)
		if err != nil {
			t.Errorf("%s: %v", button, err)
			return
		}
		r.Body.Close()
		if r.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %s", button, r.Status)
		}
	}
	told := func(line string) {
		if err := await(t.Context(), 5*time.Minute, line, func() bool { return strings.Contains(out.String(), line) }); err != nil {
			t.Error(err)
		}
	}
	told("✓ a signed declaration")
	press("declare?name=Nguyen+Thi+Canary&year=1990&tail=1234&signs=yes")
	press("break/kill")
	told("the hub appears")
	press("break/network")
	press("break/disk?full=true")
	told("~ the hub")
	press("break/disk?full=false")
	press("break/network")
	if err := <-done; err != nil {
		t.Errorf("demo: %v", err)
	}
	t.Logf("\n%s", out.String())
	if !lastLine.MatchString(out.String()) {
		t.Error("the last line does not hold")
	}
}

// TestCtrlCBeforeTheHub ends the demo while the hub may still be compiling: nothing is left behind.
func TestCtrlCBeforeTheHub(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out paper
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Out: &out}) }()
	if err := await(t.Context(), 5*time.Minute, "the gate", func() bool { return strings.Contains(out.String(), "the gate works") }); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("demo: %v\n%s", err, out.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// look opens the pages in a browser as they come, and returns the text of each.
func look(t *testing.T, ctx context.Context, base string) map[string]string {
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Error("no chromium on this machine")
		}
		t.Log("no chromium: the pages are not looked at")
		return nil
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-proxy-server", true), chromedp.WindowSize(1280, 800))
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	ctx, stopTab := chromedp.NewContext(ctx)
	defer stopTab()
	await(ctx, 5*time.Minute, "the viewer's page", func() bool { return getOK(base) })
	texts := map[string]string{}
	for _, p := range []struct{ name, url, until string }{
		{"guard", "kiosk/", "document.querySelector('[data-face=go] .who:not(:empty)')"},
		{"question", "kiosk/", "document.querySelector('#ask:not([hidden]) fieldset')"},
		{"officer", "desk/", "document.querySelector('.card.first .big')?.textContent.trim().startsWith('1')"},
	} {
		await(ctx, 5*time.Minute, p.name, func() bool { return getOK(base + p.url) })
		texts[p.name] = picture(t, ctx, base+p.url, p.until, p.name)
	}
	return texts
}

// picture returns the text of a page once until is there, and keeps its picture with -update.
func picture(t *testing.T, ctx context.Context, url, until, name string) (text string) {
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Errorf("%s page: %v", name, err)
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	_, pollErr := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+until+")"))
	png, pngErr := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	text, textErr := chromedp.Run(ctx, chromedp.Text("body"))
	if err := errors.Join(pollErr, pngErr, textErr); err != nil {
		t.Errorf("%s page: %v", name, err)
		return ""
	}
	if strings.TrimSpace(text) == "" {
		t.Errorf("%s page is empty", name)
	}
	if *update && name != "question" {
		if err := os.WriteFile(filepath.Join("..", "..", "..", "docs", name+".png"), png, 0o644); err != nil {
			t.Error(err)
		}
	}
	return text
}

func getOK(url string) bool {
	r, err := local.Get(url)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == 200
}

// The last line must be able to fail.
func TestTallyCheck(t *testing.T) {
	good := tally{shown: 12, admitted: 6, refused: 2, stored: 14, hub: 14, pulled: 14, receipted: 14}
	if err := good.check(true); err != nil {
		t.Errorf("%v: %v", good, err)
	}
	for what, spoil := range map[string]func(*tally){
		"few":       func(t *tally) { t.stored, t.hub, t.pulled, t.receipted = 9, 9, 9, 9 },
		"hub":       func(t *tally) { t.hub-- },
		"pulled":    func(t *tally) { t.pulled-- },
		"receipted": func(t *tally) { t.receipted-- },
		"doubled":   func(t *tally) { t.doubled++ },
		"a name":    func(t *tally) { t.onDisk++ },
	} {
		bad := good
		spoil(&bad)
		if bad.check(true) == nil {
			t.Errorf("%s: %v was taken", what, bad)
		}
	}
}

func TestFilesWith(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"clean": "Mê Linh", "as-written": "x" + lan.name + "y", "capitals": strings.ToUpper(mai.name)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filesWith(dir, new(demo).secrets())
	if err != nil || len(found) != 2 {
		t.Errorf("found %v, %v; want the two files with a name", found, err)
	}
}
