// Gatehub is the authority's server: it takes signed batches from gates, keeps them in its log, answers with
// signed receipts, serves the log to whoever may pull, and shows the officer's page.
//
//	gatehub [-config FILE] [-print-config]
//
// It ends with status 0 on SIGTERM or SIGINT, 1 on a fault, 2 on wrong flags or a wrong configuration.
package main

import "gatepost/cmd/internal/daemon"

var program = daemon.Program[*config]{Name: "gatehub", Defaults: defaults, Load: loadConfig, Serve: serve}

func main() { program.Main() }
