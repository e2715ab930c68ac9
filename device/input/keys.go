package input

import "errors"

// maxText is as many characters as any QR code holds.
const maxText = 4296

// ErrLost means that a scan cannot be had whole: it was too long, or the kernel dropped some of its keys.
// The text is given up to its Enter and the next one is read as usual.
var ErrLost = errors.New("a scan was too long, or keys of it were lost")

// From linux/input-event-codes.h.
const (
	kindSync, syncDropped = 0, 3
	kindKey               = 1

	keyTab, keyEnter, keypadEnter = 15, 28, 96
	leftShift, rightShift         = 42, 54
	leftCtrl, rightCtrl           = 29, 97
	leftAlt, rightAlt             = 56, 100
)

// A decoder turns key events into texts.
type decoder struct {
	text  []byte
	lost  bool            // drop everything up to the next Enter
	shift map[uint16]bool // the Shift keys that are down
	other map[uint16]bool // the Ctrl and Alt keys that are down
}

// press takes one event. It returns a text when that ends one, or ErrLost when that ends one that is not whole.
func (d *decoder) press(e event) (string, error) {
	if e.kind == kindSync && e.code == syncDropped {
		d.text, d.lost, d.shift, d.other = nil, true, nil, nil
	}
	if e.kind != kindKey {
		return "", nil
	}
	down := e.value != 0
	switch e.code {
	case leftShift, rightShift:
		d.shift = held(d.shift, e.code, down)
		return "", nil
	case leftCtrl, rightCtrl, leftAlt, rightAlt:
		d.other = held(d.other, e.code, down)
		return "", nil
	}
	if e.value != 1 || len(d.other) > 0 { // a release or a repeat, or no plain letter
		return "", nil
	}
	if e.code == keyTab || e.code == keyEnter || e.code == keypadEnter {
		return d.end()
	}
	d.add(e.code)
	return "", nil
}

func held(keys map[uint16]bool, code uint16, down bool) map[uint16]bool {
	if keys == nil {
		keys = map[uint16]bool{}
	}
	if down {
		keys[code] = true
	} else {
		delete(keys, code)
	}
	return keys
}

func (d *decoder) add(code uint16) {
	letter := letterOf(code, len(d.shift) > 0)
	if letter == 0 || d.lost {
		return
	}
	if len(d.text) == maxText {
		d.text, d.lost = nil, true
		return
	}
	d.text = append(d.text, letter)
}

func (d *decoder) end() (string, error) {
	text, lost := string(d.text), d.lost
	d.text, d.lost = d.text[:0], false
	if lost {
		return "", ErrLost
	}
	return text, nil
}

// letterOf returns what a key types on a US keyboard, or 0.
func letterOf(code uint16, shift bool) byte {
	// Keys 2 to 57 in the order of their codes; a space where a key types nothing.
	const (
		plain   = `1234567890-=  qwertyuiop[]  asdfghjkl;'` + "`" + ` \zxcvbnm,./ * `
		shifted = `!@#$%^&*()_+  QWERTYUIOP{}  ASDFGHJKL:"~ |ZXCVBNM<>? * `
		keypad  = "789-456+1230." // 71 to 83
		space   = 57
	)
	switch {
	case code == space:
		return ' '
	case code >= 71 && int(code) < 71+len(keypad):
		return keypad[code-71]
	case code == 98: // on the keypad
		return '/'
	case code < 2 || int(code) >= 2+len(plain):
		return 0
	}
	letter := plain[code-2]
	if shift {
		letter = shifted[code-2]
	}
	if letter == ' ' {
		return 0
	}
	return letter
}
