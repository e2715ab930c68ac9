package main

import "gatepost/cmd/internal/prove/proof"

// simMutations is the list of bugs that the simulation must find within simHunt seeds. Each stands for a promise that somebody
// could break by accident in a line or two, and that shows only in some order of events.
var simMutations = []proof.Mutation{
	{
		Name: "a receipt though the store failed",
		File: "sync/hub/intake.go",
		Old: `		h.doubt(b.Device)
		if ctx.Err() != nil {`,
		New: `		if err != nil {
			return h.keep(ctx, b, at, at.at+1), nil
		}
		if ctx.Err() != nil {`,
	},
	{
		Name: "no fence between hubs",
		File: "sync/hub/intake.go",
		Old:  `		seq, err := h.store.Append(ctx, batchSubject+b.Device, raw, at.at)`,
		New: `		last, _ := h.store.Last(ctx, batchSubject+b.Device)
		seq, err := h.store.Append(ctx, batchSubject+b.Device, raw, last.Place)`,
	},
	{
		Name: "stored already, by its sequence alone",
		File: "sync/hub/intake.go",
		Old:  `	if b.After() == at {`,
		New:  `	if b.After().Seq == at.Seq {`,
	},
	{
		Name: "a head that is kept after an unknown outcome",
		File: "sync/hub/intake.go",
		Old: `		h.doubt(b.Device)
		if ctx.Err() != nil {`,
		New: `		if ctx.Err() != nil {`,
	},
	{
		Name: "a head that is believed in doubt",
		File: "sync/hub/intake.go",
		Old:  `	if read && !known.doubt {`,
		New:  `	if read && (!known.doubt || known.at > 0) {`,
	},
	{
		Name: "a hub that begins in the middle",
		File: "sync/hub/intake.go",
		Old:  `at.Seq == 0 && begins || err == nil`,
		New:  `at.Seq == 0 || err == nil`,
	},
	{
		Name: "the keeper is ignored",
		File: "sync/hub/keeper.go",
		Old:  `	if at.at > upTo {`,
		New:  `	if at.at > upTo && upTo > 1<<40 {`,
	},
	{
		Name: "a batch that the keeper has half counts as taken",
		File: "sync/pull/consumer.go",
		Old: `	case at.Done < entries:
		return at.after(), nil`,
		New: `	case at.Done < entries:
		return at.Seq, nil`,
	},
	{
		Name: "a cursor one too far",
		File: "sync/pull/handler.go",
		Old:  `Cursor{epoch, p.seq, i + 1}`,
		New:  `Cursor{epoch, p.seq, min(i+2, len(p.Entries))}`,
	},
	{
		Name: "a cursor that moves before the line is kept",
		File: "sync/pull/client.go",
		Old: `		if err := each(l); err != nil {
			return next, n, err`,
		New: `		if err := each(l); err != nil {
			return l.Cursor, n, err`,
	},
	{
		Name: "a cursor of a lost log that still counts",
		File: "sync/pull/feed.go",
		Old:  `f.at.Epoch != f.log.Epoch() || f.at.Seq > last`,
		New:  `f.at.Seq > last`,
	},
	{
		Name: "receipts for what the hub has lost",
		File: "sync/uplink/exchange.go",
		Old: `		if err := u.j.Rewind(from); err != nil {
			return err
		}`,
		New: ``,
	},
	{
		Name: "a gap that goes out before the entry is set aside",
		File: "sync/uplink/aside.go",
		Old:  `	u.aside[h.Seq] = h.Hash` + "\n",
		New:  ``,
	},
	{
		Name: "a batch that is halved to more than its half",
		File: "sync/uplink/exchange.go",
		Old:  `		u.limit = n / 2`,
		New:  `		u.limit = n/2 + 1`,
	},
	{
		Name: "a receipt on a stick that nobody signed",
		File: "sync/uplink/stick_export.go",
		Old:  `	if err := r.Check(receiptKey, device); err != nil {`,
		New:  `	if err := r.Check(receiptKey, device); err != nil && r.Device != device {`,
	},
	{
		Name: "deleted without a receipt",
		File: "storage/journal/receipt.go",
		Old:  `if s.Receipt == nil || old.head.Seq > s.Receipted {`,
		New:  `if s.Receipt == nil {`,
	},
	{
		Name: "deleted though set aside",
		File: "storage/journal/receipt.go",
		Old:  `return old.start.Seq < seq && seq <= old.head.Seq`,
		New:  `return old.start.Seq < seq && seq < old.start.Seq`,
	},
}
