package main

import (
	"context"

	"gatepost/cmd/internal/prove/proof"
)

// mutant plants the list of bugs, one at a time. The short forms of this very proof must catch them, or the suite that holds
// the real store and the simulation's model to the same.
func mutant(ctx context.Context, p *proof.Run) (proof.Tally, error) {
	if p.N == 0 { // the tests would run themselves
		return proof.Tally{}, nil
	}
	return p.Mutate(ctx, mutations)
}

// here are the tests that run the short forms.
var here = []string{"./cmd/internal/prove/sync"}

// mutations is the list of planted bugs. Each stands for a promise of the protocol that somebody could break by accident in a
// line or two.
var mutations = []proof.Mutation{
	{
		Name: "a receipt before the store",
		File: "sync/hub/intake.go",
		Old:  `		seq, err := h.store.Append(ctx, batchSubject+b.Device, raw, at.at)`,
		New: `		seq, err := at.at+1, error(nil)
		go h.store.Append(context.WithoutCancel(ctx), batchSubject+b.Device, raw, at.at)`,
		Pkgs: here,
		Run:  "^TestShort$/^power$",
	},
	{
		Name: "no flush of the hub's own log",
		File: "sync/hub/embedded.go",
		Old:  `StoreDir: dir, SyncAlways: true,`,
		New:  `StoreDir: dir,`,
		Pkgs: here,
		Run:  "^TestShort$/^power$",
	},
	{
		Name: "no fence between hubs",
		File: "sync/hub/flight.go",
		Old:  `	p.msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(prev, 10))`,
		New:  `	_ = strconv.FormatUint(prev, 10)`,
		Pkgs: []string{"./sync/hub"}, // a short form meets two hubs that write at once by chance
		Run:  "^TestClusterStore$",
	},
	{
		Name: "take a batch for stored by its sequence alone",
		File: "sync/hub/intake.go",
		Old:  `	if b.After() == at {`,
		New:  `	if b.After().Seq == at.Seq {`,
		Pkgs: here,
		Run:  "^TestShort$/^proxy$",
	},
	{
		Name: "believe a receipt that nobody signed",
		File: "sync/uplink/exchange.go",
		Old:  `	if err := r.Check(u.ReceiptKey, u.device); err != nil {`,
		New:  `	if err := r.Check(u.ReceiptKey, u.device); err != nil && r.Device == "" {`,
		Pkgs: here,
		Run:  "^TestShort$/^proxy$",
	},
	{
		Name: "come again before the time that the hub asked for",
		File: "sync/uplink/wait.go",
		Old:  `		return r.after`,
		New:  `		return 0`,
		Pkgs: here,
		Run:  "^TestShort$/^proxy$",
	},
	{
		Name: "keep receipts for what the hub has lost",
		File: "sync/uplink/exchange.go",
		Old: `		if err := u.j.Rewind(from); err != nil {
			return err
		}`,
		New:  ``,
		Pkgs: here,
		Run:  "^TestShort$/^loss$",
	},
	{
		Name: "let a cursor of another log pass",
		File: "sync/pull/feed.go",
		Old:  `		if f.at.Epoch != f.log.Epoch() || f.at.Seq > last {`,
		New:  `		if f.at.Seq > last {`,
		Pkgs: here,
		Run:  "^TestShort$/^loss$",
	},
	{
		Name: "a cursor that is moved early",
		File: "sync/pull/handler.go",
		Old:  `line(Cursor{epoch, p.seq, i + 1}, p.Batch, p.Entries[i])`,
		New:  `line(Cursor{epoch, p.seq, p.to}, p.Batch, p.Entries[i])`,
		Pkgs: here,
		Run:  "^TestShort$/^loss$",
	},
	{
		Name: "go on behind a batch that was read in part",
		File: "sync/pull/pull.go",
		Old:  `	return c.Seq - 1`,
		New:  `	return c.Seq`,
		Pkgs: here,
		Run:  "^TestShort$/^loss$",
	},
}
