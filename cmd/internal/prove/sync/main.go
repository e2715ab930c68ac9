// Sync (bin/prove-sync) tries to make the way from a gate to a puller lose an entry or bring it twice. Nothing in it is a
// stand-in: real uplinks send real journals to real gatehubs over TLS, before a real NATS cluster, and a real gatectl pulls.
// Processes are killed, disks lose what was not flushed, hubs lose their disks, and the network does what networks do.
// A proof must be able to fail, so every part has a control, and planted bugs must be caught.
//
//	prove-sync [-n N] [-seed N] [part…]
//
// It ends with status 0 when everything holds, 1 when something does not or could not be proved, 2 on wrong words.
// It needs root, for file systems to mount. The journal has a proof of its own, and so do the protocol's many orders of
// events: the simulation, which the part "sim" runs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"gatepost/cmd/internal/prove/proof"
)

func suite() proof.Suite {
	return proof.Suite{Name: "prove-sync", Last: last, Parts: []proof.Part{
		{Name: "cluster", About: "the leader of three nodes is killed under load, and hubs before it", Do: cluster},
		{Name: "power", About: "all three nodes lose their power at once, and a hub with the log in its own folder", Do: power},
		{Name: "bytes", About: "the connection of a gate breaks behind each byte, in both directions", Do: everyByte},
		{Name: "proxy", About: "requests are dropped, delayed, doubled and reordered, answers lost and forged", Do: proxy},
		{Name: "loss", About: "a hub loses its disk while gates and a puller use it", Do: loss},
		{Name: "crash", About: "SIGKILL of the real gatekiosk and of a real gatectl pull at random moments", Do: crash},
		{Name: "sim", About: "the protocol under many seeds, with disks, networks and clocks drawn from them", Do: sim},
		{Name: "mutant", About: "planted bugs, which the short forms must catch", Do: mutant},
	}}
}

func last(t proof.Tally) string {
	return fmt.Sprintf("prove-sync: seeds=%d kills=%d powercuts=%d mutants=%d/%d lost=%d doubled=%d",
		t.Seeds, t.Kills, t.Cuts, t.Caught, t.Mutants, t.Lost, t.Doubled)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := suite().Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
