package main

import (
	"context"
	"encoding/json"
	"fmt"

	"gatepost/storage/journal"
)

const salvageHelp = `usage: gatectl salvage DIR NEW

Copies the journal in DIR into the new folder NEW and repairs the copy: every entry that the chain of hashes vouches
for, and a gap for what is lost. DIR is only read; a single file from a broken card is enough. Prints what was lost
and a report of the copy in JSON. A gate repairs its own journal by itself: this is for cards that no longer start.
Exit status: 0 nothing lost, 1 entries lost or no copy, 2 usage.

`

func salvage(_ context.Context, e env, args []string) int {
	fs := newFlags("salvage", salvageHelp)
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if fs.NArg() != 2 {
		return misused(e, fs, "two folders are needed")
	}
	repairs, report, err := journal.Salvage(fs.Arg(0), fs.Arg(1))
	if err != nil {
		return fail(e, "salvage", err)
	}
	if repairs == nil {
		repairs = []journal.Repair{}
	}
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{"repairs": repairs, "report": report}); err != nil {
		return fail(e, "salvage", err)
	}
	var lost uint64
	for _, r := range repairs {
		lost += r.InDoubt()
	}
	if lost > 0 {
		fmt.Fprintf(e.err, "gatectl salvage: %d entries are lost or in doubt\n", lost)
		return exitFail
	}
	return exitOK
}
