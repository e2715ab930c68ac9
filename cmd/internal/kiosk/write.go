package kiosk

import (
	"context"
	"errors"
	"fmt"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/paper"
	"gatepost/storage/entry"
)

// write lets somebody stand at a lane who has no code. They are seen as if they had one: the questions come, and a second
// passage is a duplicate. The caller holds turn.
func (k *Kiosk) write(ctx context.Context, w guard.Write) error {
	l, err := k.laneNamed(w.Lane)
	if err != nil {
		return err
	}
	claims, err := paper.Write(credential.Person{Name: w.Name, Birth: w.Birth, Number: w.Number, Slip: w.Slip})
	if err != nil {
		return fmt.Errorf("chưa đúng · not right: %w", err)
	}
	return k.stand(ctx, l, claims)
}

func (k *Kiosk) laneNamed(name string) (*lane, error) {
	for _, l := range k.lanes {
		if l.Name == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no lane %q", name)
}

// writtenName checks the name of who answered for another.
func writtenName(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	c, err := paper.Write(credential.Person{Name: name})
	if err != nil {
		return "", fmt.Errorf("tên người khai hộ chưa đúng · who answers for them: %w", err)
	}
	return c.Person.Name, nil
}

// test tries the parts, lamps and sounds before the eyes and ears of the guard. No green is lit before an entry says why.
// The caller holds turn: nobody is judged meanwhile.
func (k *Kiosk) test(ctx context.Context) error {
	began := k.Clock.Stamp()
	if err := k.keepFault(ctx, entry.Fault{Part: "self-test", Text: "begun", Clear: true}); err != nil {
		return errors.New("sổ không ghi được · the journal cannot be written")
	}
	took := (k.Clock.Stamp().Mono - began.Mono).Milliseconds()
	s := k.State()
	hub := guard.Text{VI: "Máy chủ: đã nối", EN: "hub reached"}
	if !s.Online {
		hub = guard.Text{VI: "Máy chủ: chưa nối", EN: "hub not reached " + s.Uplink}
	}
	checks := []guard.Check{
		{OK: true, Text: guard.Text{VI: fmt.Sprintf("Sổ ghi trong %d ms", took), EN: fmt.Sprintf("journal written in %d ms", took)}},
		{OK: began.Trust >= entry.TrustClock, Text: guard.Text{VI: "Đồng hồ: " + s.Clock, EN: "clock: " + s.Clock}},
		{OK: s.Online, Text: hub},
	}
	for _, l := range s.Lanes {
		checks = append(checks, guard.Check{OK: l.OK && l.Text == "", Text: guard.Text{VI: "Làn " + l.Name, EN: "lane " + l.Name + " " + l.Text}})
	}
	if k.Test != nil {
		checks = append(checks, k.Test(ctx)...)
		k.lit = "" // whatever it lit last
		k.light()
	}
	k.change(func() { k.checked = checks })
	return nil
}
