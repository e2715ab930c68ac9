package kiosk

import (
	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/storage/memory"
)

// maxReplay is how many entries are looked through at start for who passed today.
const maxReplay = 50_000

// replay tells the memory who passed today and fills the list of recent verdicts, after a restart.
func (k *Kiosk) replay() error {
	var told entry.Anchor
	for e, err := range k.Journal.Last(maxReplay) {
		if err != nil {
			return err
		}
		if a, ok := entry.AnchorOf(e); ok {
			told = a
		}
		e.Wall, _ = told.Wall(e)
		k.replayEntry(e)
	}
	return nil
}

func (k *Kiosk) replayEntry(e entry.Entry) {
	switch e.Kind {
	case entry.KindPassage:
		p, err := entry.Decode[entry.Passage](e)
		if err != nil {
			k.Log.Warn("entry cannot be read", "seq", e.Seq, "error", err)
			return
		}
		k.remember(recent{guard.Recent{
			Seq: e.Seq, At: e.Wall, Lane: p.Lane, Direction: p.Direction.String(),
			Face: guard.FaceOf(p.Verdict), Verdict: p.Verdict, Words: guard.Words("", p.Verdict, p.Direction),
		}, p.Tag, nil})
		if p.Verdict == entry.Admit && len(p.Tag) > 0 {
			k.Memory.Replay(memory.Passage{Gate: k.Device, Seq: e.Seq, Tag: p.Tag, Direction: p.Direction, At: e.Wall})
		}
	case entry.KindUndo:
		if u, err := entry.Decode[entry.Undo](e); err == nil {
			k.takeBack(u.Seq)
		}
	case entry.KindShift:
		if s, err := entry.Decode[entry.Shift](e); err == nil {
			k.shift = shift{guard: s.Guard, since: e.Wall, seq: e.Seq}
		}
	}
}
