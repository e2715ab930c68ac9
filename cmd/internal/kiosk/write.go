package kiosk

import (
	"context"
	"fmt"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/paper"
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
