// Node is one server of the NATS cluster that the proof of the sync kills and cuts from its power. It is what an operator
// would run for gatehub's engine = "nats://…", with the settings that gatehub's own configuration asks for; -lazy leaves
// out the one that makes a store durable, for the proof's control.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run() error {
	name := flag.String("name", "", "of this server")
	dir := flag.String("dir", "", "its folder")
	listen := flag.String("listen", "", "address for clients")
	cluster := flag.String("cluster", "", "address for the other servers")
	routes := flag.String("routes", "", "addresses of all, with commas between them")
	lazy := flag.Bool("lazy", false, "flush every two minutes only")
	flag.Parse()
	o := &server.Options{
		ServerName: *name, StoreDir: *dir, JetStream: true, SyncAlways: !*lazy, MaxPayload: 2 << 20,
		Cluster: server.ClusterOpts{Name: "logs"},
	}
	for _, r := range strings.Split(*routes, ",") {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: r})
	}
	var err1, err2 error
	o.Host, o.Port, err1 = split(*listen)
	o.Cluster.Host, o.Cluster.Port, err2 = split(*cluster)
	for _, err := range []error{err1, err2} {
		if err != nil {
			return err
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}

func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	return host, port, err
}
