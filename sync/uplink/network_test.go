package uplink

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNetwork is set in the process that has a network of its own.
const inNetwork = "GATEPOST_TEST_NETWORK"

// A hub that cannot be reached is tried as soon as the network comes up, though the timer is an hour away.
func TestNetworkComesUp(t *testing.T) {
	if os.Getenv(inNetwork) == "" {
		inOwnNetwork(t)
		return
	}
	r := newBareRig(t, 3)
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: r.hub}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(l) })
	defer served.Wait()
	defer s.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.options.Hub, r.options.Network = "http://127.0.0.1:"+port, nil
	r.options.MinWait, r.options.MaxWait, r.options.Jitter = time.Hour, time.Hour, func() float64 { return 0 }
	up := false
	r.run("the last receipt", func() bool {
		if !up && r.seen().Problem != "" {
			up = true
			linkUp(t, "lo")
		}
		return r.settled()
	})
	r.whole()
}

// inOwnNetwork runs the test again in a process whose network has nothing but a loopback that is down.
func inOwnNetwork(t *testing.T) {
	skip := t.Skipf
	if os.Getenv("CI") != "" {
		skip = t.Fatalf
	}
	if os.Getuid() != 0 {
		skip("needs root for a network of its own")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNetwork+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		skip("no network of its own: %v", err)
	} else if ran {
		t.Errorf("%v\n%s", err, out)
	}
}

func linkUp(t *testing.T, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}

func TestWatchNetworkEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WatchNetwork(ctx, func() {}, func() { t.Error("something has changed") }); err != nil {
		t.Skipf("no netlink: %v", err)
	}
}

// news returns one message of the kernel.
func news(kind uint16, body ...byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	binary.NativeEndian.PutUint32(b, uint32(len(b)+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return append(b, body...)
}

// link returns the news that a link has these flags.
func link(index, flags uint32) []byte {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], index)
	binary.NativeEndian.PutUint32(body[8:], flags)
	return news(unix.RTM_NEWLINK, body...)
}

func TestWhatIsNews(t *testing.T) {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	l := links{}
	for _, c := range []struct {
		what string
		news []byte
		want bool
	}{
		{"nothing", nil, false},
		{"an address", news(unix.RTM_NEWADDR), true},
		{"a route", news(unix.RTM_NEWROUTE, 1, 2, 3), true},
		{"an address that went", news(unix.RTM_DELADDR), false},
		{"a link without a carrier", link(1, unix.IFF_UP), false},
		{"a link with one", link(1, up), true},
		{"the same once more: it scanned", link(1, up), false},
		{"another link", link(2, up), true},
		{"the carrier has gone", link(1, unix.IFF_UP), false},
		{"and is back", link(1, up), true},
		{"a link's news cut short", link(3, up)[:20], false},
		{"a route behind a link", slices.Concat(link(1, up), news(unix.RTM_NEWROUTE)), true},
		{"a route behind odd bytes", slices.Concat(news(unix.RTM_DELROUTE, 1, 0, 0, 0), news(unix.RTM_NEWROUTE)), true},
		{"a route behind a size of nothing", slices.Concat(make([]byte, unix.SizeofNlMsghdr), news(unix.RTM_NEWROUTE)), false},
	} {
		if got := l.tell(c.news); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	for i := range uint32(10 * maxLinks) {
		l.tell(link(i, up))
	}
	if len(l) > maxLinks {
		t.Errorf("%d links are remembered", len(l))
	}
}

func FuzzNews(f *testing.F) {
	f.Add(news(unix.RTM_NEWADDR, 1, 2, 3, 4))
	f.Add(slices.Concat(link(1, unix.IFF_RUNNING), news(unix.RTM_NEWROUTE)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) { links{}.tell(b) })
}
