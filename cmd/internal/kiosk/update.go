package kiosk

import (
	"context"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// maxHang is how long a part of a healthy gate shows no sign of life at the most.
const maxHang = 5 * time.Second

// Healthy implements update.Gate: every lane gives what it should, the journal has taken an entry, and the decisions go on.
func (k *Kiosk) Healthy() string {
	if hung := k.hung(time.Now(), maxHang); hung != "" {
		return hung + " hangs"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.faults["journal"] != "":
		return k.faults["journal"]
	case !k.booted:
		return "the journal has taken no entry"
	case k.decided.IsZero():
		return "nothing is decided"
	}
	for _, l := range k.lanes {
		if !l.ok {
			return "lane " + l.Name + ": " + l.text
		}
	}
	return ""
}

// SetUpdate implements update.Gate.
func (k *Kiosk) SetUpdate(text *guard.Text) { k.change(func() { k.update = text }) }

// Record implements update.Gate. What is told again and again is kept once.
func (k *Kiosk) Record(ctx context.Context, text string, fault bool) {
	shown := text
	if !fault {
		shown = ""
	}
	if news := k.setFault("update", shown); !news && fault {
		return
	}
	k.Log.Info("update", "text", text)
	k.keepFault(ctx, entry.Fault{Part: "update", Text: text, Clear: !fault})
}
