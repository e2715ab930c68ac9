package main

import "gatepost/cmd/internal/prove/proof"

// onJournal are the packages whose tests must catch a bug of the journal.
var onJournal = []string{"./storage/journal"}

// mutations is the list of planted bugs. Each stands for a promise of the journal that somebody could break by
// accident in a line or two.
var mutations = []proof.Mutation{
	{
		Name: "acknowledge before the commit",
		File: "storage/journal/append.go",
		Old: `				return err
			}
		}
		return nil
	})
	for _, p := range group {
		p.err = err
		close(p.done)
	}
`,
		New: `				return err
			}
			close(p.done)
		}
		return nil
	})
`,
		Pkgs: onJournal,
		Run:  "Kill|FailingSync|FullDisk",
	},
	{
		Name: "keep what was refused",
		File: "storage/journal/append.go",
		Old:  "err := j.update(revoke, ",
		New:  "err := j.update(adopt, ",
		Pkgs: onJournal,
		Run:  "FailingSync|Limit",
	},
	{
		Name: "no sync of the folder",
		File: "storage/journal/folder.go",
		Old:  "return errors.Join(d.Sync(), d.Close())",
		New:  "return d.Close()",
		Pkgs: onJournal,
		Run:  "FailingSync",
	},
	{
		Name: "no sync of a commit",
		File: "storage/journal/commit.go",
		Old:  "NoStatistics: true,\n",
		New:  "NoStatistics: true, NoSync: true,\n",
		Pkgs: onJournal,
		Run:  "FailingSync",
	},
	{
		Name: "a receipt for another entry",
		File: "storage/journal/receipt.go",
		Old:  "own != head.Hash",
		New:  "own != own",
		Pkgs: onJournal,
		Run:  "Receipts",
	},
	{
		Name: "delete what has no receipt",
		File: "storage/journal/receipt.go",
		Old:  "if s.Receipt == nil || old.head.Seq > s.Receipted {",
		New:  "if s.Receipt == nil {",
		Pkgs: onJournal,
		Run:  "Prune|Model",
	},
	{
		Name: "a new file forgets the head",
		File: "storage/journal/rotate.go",
		Old:  "s.Start, s.Began = s.Head, 0",
		New:  "s.Head.Hash = entry.Hash{}\n\ts.Start, s.Began = s.Head, 0",
		Pkgs: onJournal,
		Run:  "Prune|Model|Survives",
	},
	{
		Name: "a boot that is not counted",
		File: "storage/journal/journal.go",
		Old:  "s.Boot++; ",
		New:  "",
		Pkgs: onJournal,
		Run:  "Survives|Kill",
	},
	{
		Name: "repeat sequences that may have been used",
		File: "storage/journal/repair.go",
		Old:  `	if trust != exactly && bound > b.at.Seq {`,
		New:  `	if trust == exactly {`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage",
	},
	{
		Name: "salvage what nothing vouches for",
		File: "storage/journal/carve.go",
		Old: `		if i >= 0 {
			list`,
		New: `		if i < 0 {
			i = 0
		}
		if i >= 0 {
			list`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage",
	},
	{
		Name: "throw the damaged file away",
		File: "storage/journal/repair.go",
		Old:  `err := os.Link(filepath.Join(dir, name), filepath.Join(aside, fmt.Sprintf("%s.%d", name, i)))`,
		New:  `var err error`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage",
	},
	{
		Name: "believe an older state in a newer tree",
		File: "storage/journal/page.go",
		Old:  `	if s.Tx != m.tx {`,
		New:  `	if false {`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage",
	},
	{
		Name: "believe a broken meta page's elder",
		File: "storage/journal/check.go",
		Old:  `	if torn != "" {`,
		New:  `	if false {`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage",
	},
	{
		Name: "read a file without its chain",
		File: "storage/journal/check.go",
		Old: `	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case seq != next.Seq:`,
		New:  `	case err != nil && seq != next.Seq:`,
		Pkgs: onJournal,
		Run:  "Aimed|TestDamage|WhileRunning",
	},
	{
		Name: "let passages eat the reserve",
		File: "storage/journal/append.go",
		Old:  `p.draft.Kind != entry.KindPassage && len(admitted) < left`,
		New:  `len(admitted) < left`,
		Pkgs: onJournal,
		Run:  "MaxSize",
	},
	{
		Name: "delete without waiting for the period",
		File: "storage/journal/receipt.go",
		Old:  `err != nil || !age.Before(before)`,
		New:  `err != nil || age.IsZero()`,
		Pkgs: onJournal,
		Run:  "Prune|Model",
	},
	{
		Name: "delete without a certificate",
		File: "storage/journal/receipt.go",
		Old: `		_, err = t.add(s, d)
		return err
`,
		New: `		_ = d
		return nil
`,
		Pkgs: onJournal,
		Run:  "Prune|Model",
	},
	{
		Name: "do not wait for a new file's name",
		File: "storage/journal/rotate.go",
		Old:  `j.db, j.file, j.unnamed = db, file, true`,
		New:  `j.db, j.file, j.unnamed = db, file, false`,
		Pkgs: onJournal,
		Run:  "FailingSync",
	},
	{
		Name: "trust pages after a failed flush",
		File: "storage/journal/commit.go",
		Old:  `	return syscall.Fdatasync(int(f.Fd()))`,
		New:  `	return nil`,
		Pkgs: onJournal,
		Run:  "FailingSync",
	},
	{
		Name: "show what a failed commit left",
		File: "storage/journal/read.go",
		Old:  ` || seq > head {`,
		New:  ` || seq > head+1<<40 {`,
		Pkgs: onJournal,
		Run:  "FailingSync",
	},
	{
		Name: "believe a receipt that nobody signed",
		File: "sync/uplink/exchange.go",
		Old:  `if err := r.Check(u.ReceiptKey, u.device); err != nil {`,
		New: `if r.Device != u.device {
		err := errors.New("another device")`,
		Pkgs: []string{"./sync/uplink"},
	},
	{
		Name: "take another's chain for one's own",
		File: "sync/uplink/exchange.go",
		Old:  `	if ours != theirs {`,
		New:  `	if false {`,
		Pkgs: []string{"./sync/uplink"},
	},
	{
		Name: "let any entry skip sequences",
		File: "storage/entry/entry.go",
		Old:  `case before.Seq != h.Seq:`,
		New:  `case before.Seq < h.Seq:`,
		Pkgs: []string{"./storage/entry"},
		Run:  "Gap",
	},
	{
		Name: "green before the entry is kept",
		File: "cmd/internal/kiosk/see.go",
		Old: `	if err == nil {
		seq, err = k.keepPassage(ctx, p, tag)
	}
`,
		New: `	k.show(p, stamp, 0, tag)
	if err == nil {
		seq, err = k.keepPassage(ctx, p, tag)
	}
`,
		Pkgs: []string{"./cmd/internal/kiosk"},
		Run:  "Green|Disk|Fault",
	},
	{
		Name: "do not record that the journal is full",
		File: "cmd/internal/kiosk/kiosk.go",
		Old:  "if !stood && errors.Is(err, journal.ErrFull)",
		New:  "if stood && errors.Is(err, journal.ErrFull)",
		Pkgs: []string{"./cmd/internal/kiosk"},
		Run:  "FullJournal",
	},
	{
		Name: "take a full journal for mended",
		File: "cmd/internal/kiosk/kiosk.go",
		Old:  "if d.Kind == entry.KindPassage {",
		New:  "if true {",
		Pkgs: []string{"./cmd/internal/kiosk"},
		Run:  "FullJournal",
	},
}
