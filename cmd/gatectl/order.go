package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/order"
	"gatepost/cmd/internal/update"
	"gatepost/scanner/form"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const orderHelp = `usage: gatectl order sign -key issuer.key -kind KIND -serial N [-name NAME] [-area AREA]… [-device ID]… [-percent N]
                          [-from TIME] [-until TIME] [-out ORDER] FILE
       gatectl order show [-issuer FILE] ORDER…
       gatectl order put [-device ID]… STICK ORDER…
       gatectl order update -version N -url URL BUNDLE

Sign makes an order to kiosks of what FILE says, when it can be read for its kind: policy and config (TOML), form (TOML with
FILE.sig beside it), trust (a bundle of trust build, or PEM with declarers alone), update (TOML), roster (see roster build). A hub hands out what lies in DATA/orders.
Show explains orders and checks what they say, with -issuer also who signed them. Put copies them onto a USB stick, for the
named devices or for all. Update writes what an order of the kind update says of a bundle: the release's number, which its image was
built with, and where gates find it (https://HUB/v1/bundles/NAME.bundle for what lies in the hub's DATA/bundles).

`

// orderFlags are the words of all four.
type orderFlags struct {
	key, issuer, out string
	version          int
	url              string
	from, until      string
	devices, areas   words
	o                wire.Order
}

func orderCommand(_ context.Context, e env, args []string) int {
	fs := newFlags("order", orderHelp)
	var verb string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	var f orderFlags
	fs.StringVar(&f.key, "key", "", "private key `FILE` of the issuer, for sign")
	fs.StringVar(&f.issuer, "issuer", "", "public key `FILE` of the issuer, for show")
	fs.StringVar(&f.o.Kind, "kind", "", "one of "+strings.Join(wire.OrderKinds(), ", "))
	fs.StringVar(&f.o.Name, "name", "", "of a roster; a form has its own")
	fs.Uint64Var(&f.o.Serial, "serial", 0, "higher than that of any order before of this kind and name")
	fs.UintVar(&f.o.Percent, "percent", 100, "of the devices that the order is for")
	fs.Var(&f.areas, "area", "where the order counts; again and again; left out: everywhere")
	fs.Var(&f.devices, "device", "id of a device that the order is for; again and again; left out: all")
	fs.StringVar(&f.from, "from", "", "not before this `TIME`, as 2026-11-30T06:00:00+07:00")
	fs.StringVar(&f.until, "until", "", "not taken any more from this `TIME` on")
	fs.IntVar(&f.version, "version", 0, "number of the release, for update")
	fs.StringVar(&f.url, "url", "", "where gates find the bundle, for update")
	fs.StringVar(&f.out, "out", "", "`FILE` to write; left out: KIND-NAME-SERIAL.order")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	switch {
	case verb == "sign" && f.key != "" && f.o.Kind != "" && f.o.Serial > 0 && fs.NArg() == 1:
		return done(e, signOrder(e, f, fs.Arg(0)))
	case verb == "show" && fs.NArg() > 0:
		return done(e, showOrders(e.out, f.issuer, fs.Args()))
	case verb == "put" && fs.NArg() > 1:
		return done(e, putOrders(e.out, fs.Arg(0), f.devices, fs.Args()[1:]))
	case verb == "update" && f.version > 0 && f.url != "" && fs.NArg() == 1:
		return done(e, describeUpdate(e.out, f.version, f.url, fs.Arg(0)))
	}
	return misused(e, fs, "sign needs -key, -kind, -serial and one file, show an order, put a stick and an order, update -version, -url and a bundle")
}

func done(e env, err error) int {
	if err != nil {
		return fail(e, "order", err)
	}
	return exitOK
}

// signOrder writes an order that a kiosk will be able to read.
func signOrder(e env, f orderFlags, file string) error {
	key, err := keyfile.Private(f.key)
	if err != nil {
		return err
	}
	f.o.Areas, f.o.Devices = f.areas, f.devices
	if f.o.From, err = orderTime(f.from); err != nil {
		return err
	}
	if f.o.Until, err = orderTime(f.until); err != nil {
		return err
	}
	if f.o.Body, err = os.ReadFile(file); err != nil {
		return err
	}
	if f.o.Kind == wire.OrderForm {
		sig, err := os.ReadFile(file + form.SignatureSuffix)
		if err != nil {
			return fmt.Errorf("%w: sign the form first, with \"gatectl form sign\"", err)
		}
		if f.o.Body, f.o.Name, err = order.FormBody(f.o.Body, sig); err != nil {
			return fmt.Errorf("%s:\n%w", file, err)
		}
	}
	if _, err := order.Read(f.o); err != nil {
		return fmt.Errorf("%s:\n%w", file, err)
	}
	raw, err := wire.SignOrder(key, f.o)
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = fmt.Sprintf("%s-%d.order", strings.ReplaceAll(f.o.Slot(), "/", "-"), f.o.Serial)
	}
	if err := os.WriteFile(f.out, raw, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "signed %v %s\n", f.o, f.out)
	return nil
}

// orderTime reads a time, the zero time from "".
func orderTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is no time such as 2026-11-30T06:00:00+07:00", s)
	}
	return t, nil
}

// readOrder reads an order's file, of which no more is read than an order can have.
func readOrder(file string) (raw []byte, o wire.Order, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, o, err
	}
	defer f.Close()
	if raw, err = io.ReadAll(io.LimitReader(f, wire.MaxOrder+1)); err != nil {
		return nil, o, err
	}
	if o, err = wire.ParseOrder(raw); err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return raw, o, err
}

// showOrders explains orders. The error lists what is wrong with any of them.
func showOrders(w io.Writer, issuer string, files []string) error {
	var faults []error
	for _, file := range files {
		_, o, err := readOrder(file)
		if err == nil && issuer != "" {
			pub, e := keyfile.Public(issuer)
			if e != nil {
				return e
			}
			err = o.Verify(pub)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b, err := order.Read(o)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %v:\n%w", file, o, err))
			continue
		}
		explainOrder(w, o, b)
	}
	return errors.Join(faults...)
}

// explainOrder tells in words what an order says and whom it is for.
func explainOrder(w io.Writer, o wire.Order, b order.Body) {
	fmt.Fprintf(w, "%v: for %d percent of %s, in %s\n", o, o.Percent, listed(o.Devices, "all devices"), listed(o.Areas, "every area"))
	if !o.From.IsZero() {
		fmt.Fprintf(w, "  from %s\n", o.From.Format(time.RFC3339))
	}
	if !o.Until.IsZero() {
		fmt.Fprintf(w, "  to be taken until %s\n", o.Until.Format(time.RFC3339))
	}
	switch {
	case b.Policy != nil:
		for line := range strings.Lines(strings.TrimSpace(string(o.Body))) {
			fmt.Fprintf(w, "  %s\n", strings.TrimRight(line, "\r\n"))
		}
	case b.Form != nil:
		explain(w, *b.Form)
	case b.Config != nil:
		for _, line := range b.Config.Lines() {
			fmt.Fprintf(w, "  %s\n", line)
		}
	case b.Roster != nil:
		fmt.Fprintf(w, "  %d keys of people\n", b.Roster.Len())
	case b.Update != nil:
		fmt.Fprintf(w, "  version %d, %d bytes, from %s\n", b.Update.Version, b.Update.Size, b.Update.URL)
	case b.Trust != nil:
		explainTrust(w, *b.Trust)
	}
}

// listed writes a list, or what no list means.
func listed(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

// putOrders copies orders onto a stick.
func putOrders(w io.Writer, dir string, devices, files []string) error {
	stick, err := uplink.OpenStick(dir)
	if err != nil {
		return err
	}
	defer stick.Close()
	if len(devices) == 0 {
		devices = []string{""}
	}
	for _, file := range files {
		raw, o, err := readOrder(file)
		if err != nil {
			return err
		}
		for _, id := range devices {
			if err := stick.PutOrder(id, raw); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		fmt.Fprintf(w, "put %v\n", o)
	}
	return nil
}

// describeUpdate writes the body of an order that brings a bundle. The journal's format is that of this program's own release.
func describeUpdate(w io.Writer, version int, url, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := update.Inspect(f); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	body := fmt.Sprintf("schema = 1\nversion = %d\nreads = %d\nwrites = %d\nsize = %d\nsha256 = \"%x\"\nurl = %q\n",
		version, journal.Format, journal.Format, size, hash.Sum(nil), url)
	if _, err := order.Read(wire.Order{Kind: wire.OrderUpdate, Body: []byte(body)}); err != nil {
		return err
	}
	_, err = io.WriteString(w, body)
	return err
}
