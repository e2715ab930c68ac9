package config

import (
	"fmt"
	"net"
	"net/url"

	"gatepost/scanner/form/strict"
)

// maxPeers is the most gates of a venue beside this one.
const maxPeers = 15

func (k *Kiosk) checkLAN(doc *strict.Doc) {
	if k.LAN.Listen != "" {
		if _, port, err := net.SplitHostPort(k.LAN.Listen); err != nil || port == "" {
			doc.Fault("lan.listen", "%q is no address such as \"192.0.2.1:8444\"", k.LAN.Listen)
		}
	} else if k.LAN.Tokens != "" {
		doc.Fault("lan.tokens", "without lan.listen nobody can show a token")
	}
	if len(k.Peers) > maxPeers {
		doc.Fault("peer", "%d peers, a venue has %d at most", len(k.Peers), maxPeers)
	}
	names := map[string]bool{}
	for i, p := range k.Peers {
		path := fmt.Sprintf("peer.%d", i)
		if p.Name == "" || len(p.Name) > maxName || names[p.Name] {
			doc.Fault(path+".name", "a peer has a name of its own, from 1 to %d bytes", maxName)
		}
		names[p.Name] = true
		if u, err := url.Parse(p.Address); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" {
			doc.Fault(path+".address", "%q is no address such as \"https://192.0.2.2:8444\"", p.Address)
		}
		if p.Key == "" {
			doc.Fault(path+".key", "without its public key no peer can be known")
		}
	}
}
