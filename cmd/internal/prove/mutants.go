package main

// onJournal are the packages whose tests must catch a bug of the journal.
var onJournal = []string{"./storage/journal"}

// mutations is the list of planted bugs. Each stands for a promise of the journal that somebody could break by
// accident in a line or two.
var mutations = []mutation{
	{
		name: "acknowledge before the commit",
		file: "storage/journal/append.go",
		old: `				return err
			}
		}
		return nil
	})
	for _, p := range group {
		p.err = err
		close(p.done)
	}
`,
		new: `				return err
			}
			close(p.done)
		}
		return nil
	})
`,
		pkgs: onJournal,
		run:  "Kill|FailingSync|FullDisk",
	},
	{
		name: "keep what was refused",
		file: "storage/journal/append.go",
		old:  "err := j.update(revoke, ",
		new:  "err := j.update(adopt, ",
		pkgs: onJournal,
		run:  "FailingSync|Limit",
	},
	{
		name: "no sync of the folder",
		file: "storage/journal/folder.go",
		old:  "return errors.Join(d.Sync(), d.Close())",
		new:  "return d.Close()",
		pkgs: onJournal,
		run:  "FailingSync",
	},
	{
		name: "no sync of a commit",
		file: "storage/journal/commit.go",
		old:  "NoStatistics: true,\n",
		new:  "NoStatistics: true, NoSync: true,\n",
		pkgs: onJournal,
		run:  "FailingSync",
	},
	{
		name: "a receipt for another entry",
		file: "storage/journal/receipt.go",
		old:  "own != head.Hash",
		new:  "own != own",
		pkgs: onJournal,
		run:  "Receipts",
	},
	{
		name: "delete what has no receipt",
		file: "storage/journal/receipt.go",
		old:  "if s.Receipt == nil || old.head.Seq > s.Receipted {",
		new:  "if s.Receipt == nil {",
		pkgs: onJournal,
		run:  "Prune|Model",
	},
	{
		name: "a new file forgets the head",
		file: "storage/journal/rotate.go",
		old:  "s.Start, s.Began = s.Head, 0",
		new:  "s.Head.Hash = entry.Hash{}\n\ts.Start, s.Began = s.Head, 0",
		pkgs: onJournal,
		run:  "Prune|Model|Survives",
	},
	{
		name: "a boot that is not counted",
		file: "storage/journal/journal.go",
		old:  "s.Boot++; ",
		new:  "",
		pkgs: onJournal,
		run:  "Survives|Kill",
	},
	{
		name: "repeat sequences that may have been used",
		file: "storage/journal/repair.go",
		old:  `	if trust != exactly && bound > b.at.Seq {`,
		new:  `	if trust == exactly {`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage",
	},
	{
		name: "salvage what nothing vouches for",
		file: "storage/journal/carve.go",
		old: `		if i >= 0 {
			list`,
		new: `		if i < 0 {
			i = 0
		}
		if i >= 0 {
			list`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage",
	},
	{
		name: "throw the damaged file away",
		file: "storage/journal/repair.go",
		old:  `err := os.Link(filepath.Join(dir, name), filepath.Join(aside, fmt.Sprintf("%s.%d", name, i)))`,
		new:  `var err error`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage",
	},
	{
		name: "believe an older state in a newer tree",
		file: "storage/journal/page.go",
		old:  `	if s.Tx != m.tx {`,
		new:  `	if false {`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage",
	},
	{
		name: "believe a broken meta page's elder",
		file: "storage/journal/check.go",
		old:  `	if torn != "" {`,
		new:  `	if false {`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage",
	},
	{
		name: "read a file without its chain",
		file: "storage/journal/check.go",
		old: `	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case seq != next.Seq:`,
		new:  `	case err != nil && seq != next.Seq:`,
		pkgs: onJournal,
		run:  "Aimed|TestDamage|WhileRunning",
	},
	{
		name: "let passages eat the reserve",
		file: "storage/journal/append.go",
		old:  `p.draft.Kind != entry.KindPassage && len(admitted) < left`,
		new:  `len(admitted) < left`,
		pkgs: onJournal,
		run:  "MaxSize",
	},
	{
		name: "delete without waiting for the period",
		file: "storage/journal/receipt.go",
		old:  `err != nil || !age.Before(before)`,
		new:  `err != nil || age.IsZero()`,
		pkgs: onJournal,
		run:  "Prune|Model",
	},
	{
		name: "delete without a certificate",
		file: "storage/journal/receipt.go",
		old: `		_, err = t.add(s, d)
		return err
`,
		new: `		_ = d
		return nil
`,
		pkgs: onJournal,
		run:  "Prune|Model",
	},
	{
		name: "do not wait for a new file's name",
		file: "storage/journal/rotate.go",
		old:  `j.db, j.file, j.unnamed = db, file, true`,
		new:  `j.db, j.file, j.unnamed = db, file, false`,
		pkgs: onJournal,
		run:  "FailingSync",
	},
	{
		name: "trust pages after a failed flush",
		file: "storage/journal/commit.go",
		old:  `	return syscall.Fdatasync(int(f.Fd()))`,
		new:  `	return nil`,
		pkgs: onJournal,
		run:  "FailingSync",
	},
	{
		name: "show what a failed commit left",
		file: "storage/journal/read.go",
		old:  ` || seq > head {`,
		new:  ` || seq > head+1<<40 {`,
		pkgs: onJournal,
		run:  "FailingSync",
	},
	{
		name: "believe a receipt that nobody signed",
		file: "sync/uplink/exchange.go",
		old:  `if err := r.Check(u.ReceiptKey, u.device); err != nil {`,
		new: `if r.Device != u.device {
		err := errors.New("another device")`,
		pkgs: []string{"./sync/uplink"},
	},
	{
		name: "take another's chain for one's own",
		file: "sync/uplink/exchange.go",
		old:  `	if ours != theirs {`,
		new:  `	if false {`,
		pkgs: []string{"./sync/uplink"},
	},
	{
		name: "let any entry skip sequences",
		file: "storage/entry/entry.go",
		old:  `case before.Seq != h.Seq:`,
		new:  `case before.Seq < h.Seq:`,
		pkgs: []string{"./storage/entry"},
		run:  "Gap",
	},
	{
		name: "green before the entry is kept",
		file: "cmd/internal/kiosk/see.go",
		old: `	if err == nil {
		seq, err = k.keepPassage(ctx, p, tag)
	}
`,
		new: `	k.show(p, stamp, 0, tag)
	if err == nil {
		seq, err = k.keepPassage(ctx, p, tag)
	}
`,
		pkgs: []string{"./cmd/internal/kiosk"},
		run:  "Green|Disk|Fault",
	},
	{
		name: "do not record that the journal is full",
		file: "cmd/internal/kiosk/kiosk.go",
		old:  "if !stood && errors.Is(err, journal.ErrFull)",
		new:  "if stood && errors.Is(err, journal.ErrFull)",
		pkgs: []string{"./cmd/internal/kiosk"},
		run:  "FullJournal",
	},
	{
		name: "take a full journal for mended",
		file: "cmd/internal/kiosk/kiosk.go",
		old:  "if d.Kind == entry.KindPassage {",
		new:  "if true {",
		pkgs: []string{"./cmd/internal/kiosk"},
		run:  "FullJournal",
	},
}
