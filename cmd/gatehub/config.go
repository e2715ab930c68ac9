package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // the zone of the pages is there on any machine

	"gatepost/scanner/form/strict"
	"gatepost/sync/pull"
)

// defaults is the commented configuration that a gatehub without one uses: everything on loopback.
const defaults = `# gatehub: takes entries from gates, keeps them and serves them. Every key may be left out; what stands
# here are the defaults. Paths are relative to this file.
schema = 1

data = "gatehub-data"            # the log, keys and certificates; view.db in it can be thrown away
engine = ""                      # where the log is: "": in DATA/log; "nats://a:4222,nats://b:4222,nats://c:4222": in that
                                 # NATS cluster (2.12 or later), which several hubs may share. Its servers need JetStream with
                                 # "sync_interval: always", and "max_payload: 2MB"; tls:// and USER:PASSWORD@ are possible
listen = "127.0.0.1:8443"        # TLS: gates send here, other servers pull here
pages = "127.0.0.1:8444"         # the officer's page, without TLS and password; "": none

name = ""                        # whose hub this is, at the top of the page
timezone = "Asia/Ho_Chi_Minh"    # where a day begins and ends
areas = []                       # the order of areas on the page; others follow by name

devices = ""                     # folder with NAME.pub.pem of each device, and beside it NAME.toml with
                                 # name, venue and area where wanted, and revoked = true to shut it out; read again when it changes;
                                 # "": DATA/devices
issuer = ""                      # PEM of the public key that signs enrolment codes, which make gates of units, and orders; "": nobody
                                 # enrols here, and what lies in DATA/orders is checked by every gate alone
tokens = ""                      # file with the tokens of those who may pull, one a line, and behind it
                                 # the areas to which it is limited: TOKEN Quang Minh, Mê Linh; "": DATA/token, made once
keeper = ""                      # the consumer that must have taken an entry before a receipt for it is signed; "": none
receipt_key = ""                 # PEM of the key that signs receipts; "": DATA/receipt.key, made once
tls_cert = ""                    # PEM of the hub's certificate and key; "": DATA/tls with ca.pem for the
tls_key = ""                     # gates, made once
`

// config is the configuration of a hub.
type config struct {
	Schema     int      `toml:"schema"`
	Data       string   `toml:"data"`
	Engine     string   `toml:"engine"`
	Listen     string   `toml:"listen"`
	Pages      string   `toml:"pages"`
	Name       string   `toml:"name"`
	Timezone   string   `toml:"timezone"`
	Areas      []string `toml:"areas"`
	Devices    string   `toml:"devices"`
	Issuer     string   `toml:"issuer"`
	Tokens     string   `toml:"tokens"`
	Keeper     string   `toml:"keeper"`
	ReceiptKey string   `toml:"receipt_key"`
	TLSCert    string   `toml:"tls_cert"`
	TLSKey     string   `toml:"tls_key"`

	zone *time.Location
}

// loadConfig reads a configuration over the defaults; with file "" it is the defaults.
func loadConfig(file string) (*config, error) {
	text, dir := []byte(defaults), ""
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		dir = filepath.Dir(file)
	}
	c, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", file, err)
	}
	c.resolve(dir)
	return c, nil
}

// parseConfig lists every fault with its line.
func parseConfig(text []byte) (*config, error) {
	c := &config{}
	if err := strict.Decode([]byte(defaults), c).Err(); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	c.Schema = 0
	doc := strict.Decode(text, c)
	doc.Schema(c.Schema, 1)
	var err error
	if c.zone, err = time.LoadLocation(c.Timezone); err != nil || c.Timezone == "" || c.Timezone == "Local" {
		doc.Fault("timezone", "%q is no time zone such as \"Asia/Ho_Chi_Minh\"", c.Timezone)
	}
	if c.Data == "" {
		doc.Fault("data", "a hub needs a folder")
	}
	checkEngine(doc, c.Engine)
	if c.Keeper != "" && !pull.IsConsumer(c.Keeper) {
		doc.Fault("keeper", "%q is no consumer's name such as \"ministry\"", c.Keeper)
	}
	checkAddress(doc, "listen", c.Listen)
	if c.Pages != "" {
		checkAddress(doc, "pages", c.Pages)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		doc.Fault("tls_cert", "tls_cert and tls_key belong together")
	}
	return c, doc.Err()
}

// checkEngine reports an address by its place in the list: it may carry a password.
func checkEngine(doc *strict.Doc, engine string) {
	if engine == "" {
		return
	}
	for i, address := range strings.Split(engine, ",") {
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.Path+u.RawQuery+u.Fragment != "" {
			doc.Fault("engine", "address %d is not one such as \"nats://a:4222\"", i+1)
		}
	}
}

func checkAddress(doc *strict.Doc, key, address string) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		doc.Fault(key, "%q is no address such as \"127.0.0.1:8443\"", address)
	}
}

// resolve makes the paths relative to dir, and fills in those that follow from data.
func (c *config) resolve(dir string) {
	for _, p := range []*string{&c.Data, &c.Devices, &c.Issuer, &c.Tokens, &c.ReceiptKey, &c.TLSCert, &c.TLSKey} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if c.Devices == "" {
		c.Devices = filepath.Join(c.Data, "devices")
	}
}
