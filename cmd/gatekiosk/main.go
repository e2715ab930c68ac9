// Gatekiosk runs one gate: it reads the codes that people show, decides, keeps every entry durably and hands
// them on whenever the hub can be reached.
//
//	gatekiosk [-config FILE] [-print-config]
//
// It ends with status 0 on SIGTERM or SIGINT, 1 on a fault, 2 on wrong flags or a wrong configuration.
package main

import (
	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/daemon"
)

var program = daemon.Program[*config.Kiosk]{
	Name: "gatekiosk", Defaults: config.DefaultKiosk, Load: config.LoadKiosk, Serve: serveOrders,
}

func main() { program.Main() }
