package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // a kiosk's root file system has no zones

	"gatepost/device/wall"
	"gatepost/scanner/form/strict"
	"gatepost/storage/entry"
)

// maxName is the most bytes of a lane's name, which stands in each entry.
const maxName = 32

// turn is when a lane turns and to where.
var turn = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d (in|out)$`)

// Kiosk is the configuration of a gatekiosk. ParseKiosk leaves paths as written, LoadKiosk makes them
// relative to the file.
type Kiosk struct {
	Schema    int    `toml:"schema"`
	Data      string `toml:"data"`
	Policy    string `toml:"policy"`
	Enrol     bool   `toml:"enrol"`
	Enrolment string `toml:"enrolment"`
	User      string `toml:"user"`
	Venue     struct {
		Name     string `toml:"name"`
		Timezone string `toml:"timezone"`
		Retain   string `toml:"retain"`
		Clock    string `toml:"clock"`
	} `toml:"venue"`
	Lanes []Lane `toml:"lane"`
	Keys  struct {
		Device    string `toml:"device"`
		Authority string `toml:"authority"`
		Declarers string `toml:"declarers"`
		Issuers   string `toml:"issuers"`
		Trust     string `toml:"trust"`
		Issuer    string `toml:"issuer"`
	} `toml:"keys"`
	Forms struct {
		Dir       string `toml:"dir"`
		Publisher string `toml:"publisher"`
	} `toml:"forms"`
	Uplink struct {
		Hub        string `toml:"hub"`
		Proxy      string `toml:"proxy"`
		CA         string `toml:"ca"`
		ReceiptKey string `toml:"receipt_key"`
		Interval   string `toml:"interval"`
		Probation  string `toml:"probation"`
	} `toml:"uplink"`
	LAN struct {
		Listen string `toml:"listen"`
		Tokens string `toml:"tokens"`
	} `toml:"lan"`
	Peers   []Peer `toml:"peer"`
	Console struct {
		Listen string `toml:"listen"`
	} `toml:"console"`
	Lamp struct {
		Chip      string `toml:"chip"`
		Go        string `toml:"go"`
		Ask       string `toml:"ask"`
		Stop      string `toml:"stop"`
		ActiveLow bool   `toml:"active_low"`
	} `toml:"lamp"`
	Post

	Zone     *time.Location `toml:"-"`
	Retain   time.Duration  `toml:"-"`
	Interval time.Duration  `toml:"-"`
	Trial    time.Duration  `toml:"-"` // Uplink.Probation
	Proxy    *url.URL       `toml:"-"` // nil where there is none
}

// Lane is one [[lane]] of a Kiosk.
type Lane struct {
	Name      string   `toml:"name"`
	Source    string   `toml:"source"`
	Direction string   `toml:"direction"`
	Schedule  []string `toml:"schedule"`
}

// Peer is one [[peer]] of a Kiosk: another gate of its venue.
type Peer struct {
	Name    string `toml:"name"`
	Address string `toml:"address"`
	Key     string `toml:"key"`
}

// DefaultKiosk is a commented configuration that a gatekiosk without one uses: everything on loopback.
const DefaultKiosk = `# gatekiosk: one gate. Every key may be left out; what stands here are the defaults.
schema = 1

data = "gatekiosk-data"       # journal, memory and the device's key; paths are relative to this file
policy = ""                   # a policy file; empty: take every family, ask the newest shipped form of each id below
enrol = false                 # wait for an enrolment code (gatectl enrol) and let it say venue, hub, keys and network
enrolment = ""                # text file that has such a code too, a part in each line: gatepost.txt on the card's first partition
user = ""                     # started by root, the gate runs as this user, and root's part is a helper with a fixed list; empty: as who starts it

[venue]
name = "Gatepost"
timezone = "Asia/Ho_Chi_Minh" # where a day begins and ends
retain = "720h"               # receipted entries older than this are deleted
clock = "kernel"              # kernel: trusted while the system says that it is synchronised; system: always

[[lane]]                      # one for each camera or reader, all in one process
name = "gate-1"
source = "auto"               # v4l:/dev/video0, files:DIR, wedge:/dev/input/event0 or wedge:*Barcode* (a keyboard's name),
                              # serial:/dev/ttyACM*, sim:, or auto: a camera, else sim:
direction = "in"              # in or out
schedule = []                 # when it turns by itself, every day: ["05:30 in", "16:30 out"]

[keys]
device = ""                   # PEM of this device's key; empty: DATA/device.key, made at the first start
authority = ""                # PEM of the authority's public key; empty: what names a person is not kept at all
declarers = ""                # folder with the public keys whose signed declarations count
issuers = ""                  # folder with the certificates of the authorities whose health certificates (HC1) count
trust = ""                    # trust bundle, with its .sig beside it: more declarers and issuers; [forms] publisher has signed it
issuer = ""                   # PEM of the public key that signs orders from the authority, and enrolments; empty: no order is
                              # taken, and the first enrolment's issuer counts from then on

[forms]
dir = ""                      # folder with more signed forms, beside those that are built in
publisher = ""                # PEM of the public key that signs them

[uplink]
hub = ""                      # https://host:port; empty: entries stay here
proxy = ""                    # http://host:port, through which the hub is reached; empty: what the environment says
ca = ""                       # PEM of the certificate authority of the hub
receipt_key = ""              # PEM of the hub's public key for receipts
interval = "30s"              # how often to look for the hub when nothing happens
probation = "10m"             # how long an order may keep a hub out of reach that was not, before it is taken back

[lan]
listen = ""                   # host:port at which the venue's other gates follow this one; empty: nowhere
tokens = ""                   # a file with a token a line, each of which opens this gate's log there; empty: none does

# [[peer]]                    # one for each other gate of the venue, 15 at most; each must name this one, too
# name = "gate-2"
# address = "https://192.0.2.2:8444"
# key = "gate-2.pub.pem"      # PEM of that device's public key

[console]
listen = "127.0.0.1:8080"     # the guard's page; empty: none. At an address that others reach, as "192.168.1.20:8443" or ":8443", it
                              # speaks HTTPS under a certificate of its own, to telephones that have read the screen's code

[lamp]
chip = ""                     # a GPIO chip, as /dev/gpiochip0 or its label; empty: no lamps
go = "17"                     # lines by name or number: green,
ask = "27"                    # amber,
stop = "22"                   # red
active_low = false            # a lamp is lit by a low level
` + defaultPost

// LoadKiosk reads a kiosk's configuration from a file, and the defaults when file is "".
func LoadKiosk(file string) (*Kiosk, error) {
	text, dir := []byte(DefaultKiosk), ""
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		dir = filepath.Dir(file)
	}
	k, err := ParseKiosk(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", file, err)
	}
	k.resolve(dir)
	return k, nil
}

// ParseKiosk reads a kiosk's configuration over the defaults. Its error lists every fault with its line.
func ParseKiosk(text []byte) (*Kiosk, error) {
	k := &Kiosk{}
	if err := strict.Decode([]byte(DefaultKiosk), k).Err(); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	lanes := k.Lanes
	k.Schema, k.Lanes = 0, nil
	doc := strict.Decode(text, k)
	if err := doc.Syntax(); err != nil {
		return nil, err
	}
	doc.Schema(k.Schema, 1)
	if len(k.Lanes) == 0 {
		k.Lanes = lanes
	}
	k.checkTimes(doc)
	k.checkLanes(doc)
	k.checkNetwork(doc)
	k.checkLAN(doc)
	k.check(doc)
	return k, doc.Err()
}

func (k *Kiosk) checkTimes(doc *strict.Doc) {
	var err error
	if k.Zone, err = time.LoadLocation(k.Venue.Timezone); err != nil {
		doc.Fault("venue.timezone", "%q is no time zone such as \"Asia/Ho_Chi_Minh\"", k.Venue.Timezone)
	}
	if k.Retain, err = time.ParseDuration(k.Venue.Retain); err != nil || k.Retain < 0 {
		doc.Fault("venue.retain", "%q is no duration such as \"720h\"", k.Venue.Retain)
	}
	if k.Interval, err = time.ParseDuration(k.Uplink.Interval); err != nil || k.Interval < time.Second {
		doc.Fault("uplink.interval", "%q is no duration of a second or more", k.Uplink.Interval)
	}
	if k.Trial, err = time.ParseDuration(k.Uplink.Probation); err != nil || k.Trial < time.Second {
		doc.Fault("uplink.probation", "%q is no duration of a second or more", k.Uplink.Probation)
	}
	if _, err := wall.ParseSource(k.Venue.Clock); err != nil {
		doc.Fault("venue.clock", "%v", err)
	}
}

func (k *Kiosk) checkLanes(doc *strict.Doc) {
	names := map[string]bool{}
	for i, l := range k.Lanes {
		path := fmt.Sprintf("lane.%d", i)
		if l.Name == "" || len(l.Name) > maxName {
			doc.Fault(path+".name", "a lane's name has from 1 to %d bytes", maxName)
		} else if names[l.Name] {
			doc.Fault(path+".name", "two lanes are named %q", l.Name)
		}
		names[l.Name] = true
		if _, err := entry.ParseDirection(l.Direction); err != nil {
			doc.Fault(path+".direction", "%v", err)
		}
		for _, text := range l.Schedule {
			if !turn.MatchString(text) {
				doc.Fault(path+".schedule", "%q is no turn such as \"16:30 out\"", text)
			}
		}
		if !strings.Contains(l.Source, ":") && l.Source != "auto" {
			doc.Fault(path+".source", "%q is no source such as \"v4l:/dev/video0\" or \"auto\"", l.Source)
		}
	}
}

func (k *Kiosk) checkNetwork(doc *strict.Doc) {
	if k.Uplink.Hub != "" {
		if u, err := url.Parse(k.Uplink.Hub); err != nil || u.Scheme != "https" || u.Host == "" {
			doc.Fault("uplink.hub", "%q is no address such as \"https://hub.example:8443\"", k.Uplink.Hub)
		}
		if k.Uplink.ReceiptKey == "" {
			doc.Fault("uplink.receipt_key", "without the hub's public key no receipt can be checked")
		}
	}
	if u, err := url.Parse(k.Uplink.Proxy); err != nil || k.Uplink.Proxy != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		doc.Fault("uplink.proxy", "not an address such as \"http://proxy.example:3128\"") // which may have a password
	} else if k.Uplink.Proxy != "" {
		k.Proxy = u
	}
	if k.Forms.Dir != "" && k.Forms.Publisher == "" {
		doc.Fault("forms.publisher", "without the publisher's public key no form can be checked")
	}
	if k.Keys.Trust != "" && k.Forms.Publisher == "" {
		doc.Fault("keys.trust", "without forms.publisher, the publisher's public key, no trust bundle can be checked")
	}
	if _, _, err := net.SplitHostPort(k.Console.Listen); err != nil && k.Console.Listen != "" {
		doc.Fault("console.listen", "%v", err)
	}
}

// Loopback reports whether a host:port can be reached from this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// resolve makes the paths relative to dir, the folder of the configuration's file.
func (k *Kiosk) resolve(dir string) {
	for _, p := range []*string{
		&k.Data, &k.Policy, &k.Enrolment, &k.Keys.Device, &k.Keys.Authority, &k.Keys.Declarers, &k.Keys.Issuers, &k.Keys.Trust, &k.Keys.Issuer, &k.Forms.Dir, &k.Forms.Publisher, &k.Uplink.CA, &k.Uplink.ReceiptKey,
		&k.LAN.Tokens,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for i := range k.Peers {
		if p := &k.Peers[i].Key; !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	k.Post.resolve(dir)
	if k.Keys.Device == "" {
		k.Keys.Device = filepath.Join(k.Data, "device.key")
	}
}
