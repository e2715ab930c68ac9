// Package sim plays the whole of the sync in one thread, under one seed. All of it is tests; no program links it.
//
// Kiosks with real journals, the real uplink, hub, pull and stick code run against one another in a world that is made
// up: its clock, its networks, its log, the carrier of its stick. Whatever happens in that world is drawn from the seed: a
// passage, a crash in the midst of an append, a card that is set back or cloned, a hub that dies inside a store, a log
// that is lost whole, an answer that comes late, twice, cut, or from a stranger. After a while everything is healed, and
// the world runs until nothing moves any more. Then, and at every step before, it is compared with what the world itself
// has seen happen (truth_test.go): every entry that a kiosk acknowledged is with the puller once, receipts were signed only
// for what the log held, nothing was deleted without one, a fork was told, and the world did come to rest.
//
// There is one event loop (world_test.go) and no goroutine. The product's code is called as step functions: an uplink's
// Step, a hub's handler, a puller's page. Things overlap all the same, as one event may happen inside another: whenever
// the code waits in real life (for the network, for the log), the world lets time pass and runs what is due by then. So a
// second hub may store between a hub's reading and its writing, and a kiosk may crash while its request is on the way.
//
// One seed is one history, byte for byte; the trace's hash tells. To see one that failed:
//
//	go test ./sync/sim -run TestSeeds -from SEED -seeds 1 -v
//
// The model of the log passes the suite that JetStream passes (sync/hub/hubtest). What the simulation does not show: disks
// below the journal and the engine, TLS, the long poll and everything else that waits in real time. make prove-journal and
// make prove-sync are for those.
package sim
