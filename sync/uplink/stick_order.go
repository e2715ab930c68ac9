package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"gatepost/sync/wire"
)

// downDir is where the orders for a device lie, or those for every device with "".
func downDir(device string) string { return path.Join(stickTop, stickDown, device) }

// orderFile names the file of an order.
func orderFile(o wire.Order) string {
	return fmt.Sprintf("%s-%.16s%s", o.Kind, o.Hash(), stickOrder)
}

// PutOrder puts an order in its own bytes onto the stick: for one device, whose area is known to whoever puts it there, or
// with "" for all. An order that is limited to areas cannot be for all, since no kiosk knows where it stands.
func (s *Stick) PutOrder(device string, raw []byte) error {
	o, err := wire.ParseOrder(raw)
	if err != nil {
		return err
	}
	if device != "" && !deviceName.MatchString(device) {
		return fmt.Errorf("device %.20q is no id of 16 hexadecimal digits", device)
	}
	if device == "" && len(o.Areas) > 0 {
		return fmt.Errorf("%v is limited to areas, and a kiosk does not know its own: name the devices", o)
	}
	if err := s.prepareDown(device); err != nil {
		return err
	}
	return s.write(path.Join(downDir(device), orderFile(o)), raw)
}

// prepareDown makes a folder of orders and removes what was left unfinished there.
func (s *Stick) prepareDown(device string) error {
	if err := s.root.MkdirAll(downDir(device), 0o755); err != nil {
		return full(err)
	}
	for _, dir := range []string{".", stickTop, downDir("")} {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return s.removeDown(device, func(name string) bool { return strings.HasSuffix(name, stickPart) })
}

// KeepOrders removes all orders for a device but those of raws, which were put there.
func (s *Stick) KeepOrders(device string, raws [][]byte) error {
	keep := map[string]bool{}
	for _, raw := range raws {
		if o, err := wire.ParseOrder(raw); err == nil {
			keep[orderFile(o)] = true
		}
	}
	return s.removeDown(device, func(name string) bool { return strings.HasSuffix(name, stickOrder) && !keep[name] })
}

func (s *Stick) removeDown(device string, old func(name string) bool) error {
	names, err := s.names(downDir(device))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names {
		if old(n) {
			err = errors.Join(err, s.root.Remove(path.Join(downDir(device), n)))
		}
	}
	return err
}

// Orders returns the orders on the stick that may be for device, in their own bytes: those in its folder, and those for
// all. What is no order is left out; who signed the others, the reader must check. An error tells what could not be
// read, and the rest counts.
func (s *Stick) Orders(device string) (raws [][]byte, err error) {
	for _, dir := range []string{device, ""} {
		names, e := s.names(downDir(dir))
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		for _, n := range names {
			if !strings.HasSuffix(n, stickOrder) {
				continue
			}
			if len(raws) == 2*wire.MaxSlots {
				return raws, errors.Join(err, fmt.Errorf("stick holds more than %d orders for one device", len(raws)))
			}
			raw, e := s.read(path.Join(downDir(dir), n), wire.MaxOrder)
			if e != nil && !errors.Is(e, errUnfit) {
				err = errors.Join(err, e)
				continue
			}
			if o, e := wire.ParseOrder(raw); e == nil && (dir != "" || len(o.Areas) == 0) {
				raws = append(raws, raw)
			}
		}
	}
	return raws, err
}
