package demo

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/selfsign"
	"gatepost/scanner/form"
)

// A world is the folder of a run: keys, configurations, and where everything listens.
type world struct {
	dir                       string
	kioskConfig, hubConfig    string
	kioskData, hubData        string
	kioskURL, deskURL, hubURL string // of pages with a slash at the end, of the hub without
	relayAddr, hubAddr        string
	ca, token, receiptKey     string // files
	declarer                  ed25519.PrivateKey
	form                      form.Form // that everybody declares on
}

// A lane is one [[lane]] of the kiosk's configuration.
type lane struct{ name, source, direction string }

// demoLanes are the simulated ways in and out, and a real camera when there is one.
func demoLanes(camera string) []lane {
	lanes := []lane{{laneIn, "sim:manual", "in"}, {laneOut, "sim:manual", "out"}, {laneSelf, "sim:manual", "in"}}
	if camera != "" {
		lanes = append(lanes, lane{"camera", camera, "in"})
	}
	return lanes
}

// newWorld makes the keys and the configurations of a kiosk and a hub that know each other.
func newWorld(dir string, lanes []lane) (w world, err error) {
	w.dir, w.kioskData, w.hubData = dir, filepath.Join(dir, "kiosk"), filepath.Join(dir, "hub")
	for _, sub := range []string{w.kioskData, w.hubData, filepath.Join(w.hubData, "devices"), filepath.Join(dir, "declarers")} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return w, err
		}
	}
	for _, k := range [][3]string{
		{w.kioskData, "device", "device"}, {w.hubData, "receipt", "receipt"}, {dir, "authority", "authority"}, {dir, "declarer", "declarer"},
	} {
		if err := keyfile.Create(k[0], k[1], k[2]); err != nil {
			return w, err
		}
	}
	if w.declarer, err = keyfile.Private(filepath.Join(dir, "declarer.key")); err != nil {
		return w, err
	}
	for from, to := range map[string]string{
		filepath.Join(dir, "declarer.pub.pem"):       filepath.Join(dir, "declarers", "declarer.pub.pem"),
		filepath.Join(w.kioskData, "device.pub.pem"): filepath.Join(w.hubData, "devices", "gate-1.pub.pem"),
	} {
		if err := os.Link(from, to); err != nil {
			return w, err
		}
	}
	forms, err := form.Shipped()
	if err != nil {
		return w, err
	}
	w.form, _ = forms.Newest(formID)
	if err := selfsign.Create(filepath.Join(w.hubData, "tls"), time.Now(), "127.0.0.1"); err != nil {
		return w, err
	}
	w.ca, w.token = filepath.Join(w.hubData, "tls", "ca.pem"), filepath.Join(w.hubData, "token")
	w.receiptKey = filepath.Join(w.hubData, "receipt.pub.pem")
	addrs, err := FreeAddrs("127.0.0.1", 4)
	if err != nil {
		return w, err
	}
	w.relayAddr, w.hubAddr = addrs[0], addrs[1]
	w.kioskURL, w.deskURL, w.hubURL = "http://"+addrs[2]+"/", "http://"+addrs[3]+"/", "https://"+w.hubAddr
	return w, w.configure(lanes, addrs[2], addrs[3])
}

func (w *world) configure(lanes []lane, console, desk string) error {
	w.kioskConfig, w.hubConfig = filepath.Join(w.dir, "kiosk.toml"), filepath.Join(w.dir, "hub.toml")
	var kiosk bytes.Buffer
	fmt.Fprintf(&kiosk, `schema = 1
data = %q
policy = "policy.toml"
[venue]
name = "Cổng thử · demo gate"
clock = "system"
[keys]
authority = "authority.pub.pem"
declarers = "declarers"
[uplink]
hub = "https://%s"
ca = %q
receipt_key = %q
interval = "1s"
[console]
listen = %q
`, w.kioskData, w.relayAddr, w.ca, w.receiptKey, console)
	for _, l := range lanes {
		fmt.Fprintf(&kiosk, "[[lane]]\nname = %q\nsource = %q\ndirection = %q\n", l.name, l.source, l.direction)
	}
	hub := fmt.Sprintf("schema = 1\ndata = %q\nlisten = %q\npages = %q\n", w.hubData, w.hubAddr, desk)
	device := "name = \"Cổng thử\"\nvenue = \"Nhà máy Mẫu\"\narea = \"Mê Linh\"\n"
	policy := fmt.Sprintf("schema = 1\n[policy]\nforms = [%q]\nunprovable = \"look\"\n", formID)
	for path, text := range map[string]string{
		w.kioskConfig: kiosk.String(), w.hubConfig: hub, filepath.Join(w.dir, "policy.toml"): policy,
		filepath.Join(w.hubData, "devices", "gate-1.toml"): device,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// FreeAddrs returns n addresses at a loopback host that nobody listens on now.
func FreeAddrs(host string, n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // only when all are known, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
