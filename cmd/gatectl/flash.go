package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/flash"
	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/durable"
)

const flashHelp = `usage: gatectl flash -key FILE [-yes] [-large] [-venues FILE.csv] IMAGE DISK…
       gatectl flash -key FILE [-yes] [-venues FILE.csv] -all IMAGE
       gatectl flash map -key FILE IMAGE

Writes IMAGE (also packed as .xz or .zst) to one card or several at once, and reads it back. Only what the image uses is
written: IMAGE.bmap beside it tells what that is, in the format of bmap-tools, and IMAGE.bmap.ed25519 who vouches for it (-key,
the maker's public key). A card that is not whole does not start. Disks that are in use are refused.

-all takes every card that is in a reader of this machine. -venues makes a gate of each: FILE.csv has a row a gate, and in its
column "codes" the folder that "gatectl enrol" wrote. Each card gets the next row's enrolment, a label is printed for it, and
FILE.csv.done remembers which rows are on a card.

map writes IMAGE.bmap and IMAGE.bmap.ed25519 of an image that is not packed yet, with the maker's private key.
Exit status: 0 every card is good, 1 not all, 2 usage.

`

// sigSuffix names the file of the map's signature. "sig" would be one of GnuPG for bmaptool.
const sigSuffix = ".ed25519"

// A flashJob is what the words of flash ask for.
type flashJob struct {
	key        string
	unsigned   bool
	yes, large bool
	all        bool
	venues     string
	image      string
	disks      []string
}

func flashCommand(ctx context.Context, e env, args []string) int {
	making := len(args) > 0 && args[0] == "map"
	if making {
		args = args[1:]
	}
	var j flashJob
	fs := newFlags("flash", flashHelp)
	fs.StringVar(&j.key, "key", "", "PEM `FILE` of the image maker's key: public, and private for map")
	fs.BoolVar(&j.unsigned, "unsigned", false, "take an image for which nobody vouches")
	fs.BoolVar(&j.yes, "yes", false, "do not ask")
	fs.BoolVar(&j.large, "large", false, "take disks of more than 256 GB too")
	fs.BoolVar(&j.all, "all", false, "take all cards that are in readers")
	fs.StringVar(&j.venues, "venues", "", "`FILE.csv` with a row a gate: each card becomes the next one")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if why := j.fault(fs, making); why != "" {
		return misused(e, fs, why)
	}
	do := j.write
	if making {
		do = j.makeMap
	}
	if err := do(ctx, e); err != nil {
		return fail(e, "flash", err)
	}
	return exitOK
}

// fault takes the words behind the flags and tells what is off about them.
func (j *flashJob) fault(fs *flag.FlagSet, making bool) string {
	j.image = fs.Arg(0)
	switch {
	case making && (fs.NArg() != 1 || j.key == "" || j.unsigned):
		return "map needs -key and one image"
	case making:
		return ""
	case j.all && fs.NArg() != 1:
		return "-all needs an image, and no disk beside it"
	case !j.all && fs.NArg() < 2:
		return "an image and a disk such as /dev/sdb are needed"
	case (j.key == "") == !j.unsigned:
		return "-key, or else -unsigned, is needed"
	}
	j.disks = fs.Args()[1:]
	return ""
}

// mapOf names the map's file: images are packed after they were mapped.
func mapOf(image string) string {
	return strings.TrimSuffix(strings.TrimSuffix(image, ".xz"), ".zst") + ".bmap"
}

func (j *flashJob) makeMap(_ context.Context, e env) error {
	key, err := keyfile.Private(j.key)
	if err != nil {
		return err
	}
	f, err := os.Open(j.image)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := flash.New(f)
	if err != nil {
		return fmt.Errorf("map %s: %w", j.image, err)
	}
	text, err := m.Marshal()
	if err != nil {
		return err
	}
	name := mapOf(j.image)
	if err := durable.Write(name, text, 0o644); err != nil {
		return err
	}
	if err := durable.Write(name+sigSuffix, flash.Sign(key, text), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %d of %d MB are used\n", name, m.Used()/1e6, m.Size/1e6)
	return nil
}

// readMap returns the image's map, if its maker signed it.
func (j *flashJob) readMap() (m flash.Map, err error) {
	name := mapOf(j.image)
	text, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	if !j.unsigned {
		key, err := keyfile.Public(j.key)
		if err != nil {
			return m, err
		}
		sig, err := os.ReadFile(name + sigSuffix)
		if err != nil {
			return m, err
		}
		if err := flash.Verify(key, text, sig); err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
	}
	if m, err = flash.Parse(text); err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func (j *flashJob) write(ctx context.Context, e env) error {
	m, err := j.readMap()
	if err != nil {
		return err
	}
	file, err := os.Open(j.image)
	if err != nil {
		return err
	}
	defer file.Close()
	image, err := flash.Unpack(file)
	if err != nil {
		return fmt.Errorf("%s: %w", j.image, err)
	}
	defer image.Close()
	var venues []venue
	if j.venues != "" {
		if venues, err = readVenues(j.venues, time.Now()); err != nil {
			return err
		}
	}
	cards, err := j.open(e, m.Size)
	defer func() {
		for _, c := range cards {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	if j.venues != "" && len(venues) < len(cards) {
		return fmt.Errorf("%d cards, and %s has %d rows that are on none yet", len(cards), j.venues, len(venues))
	}
	if !j.yes && !agreed(e, cards) {
		return errors.New("nothing was written")
	}
	p := newProgress(e.err, cards)
	faults := flash.Write(ctx, image, m, cards, p.step)
	p.end()
	if j.venues != "" {
		enrolCards(e.out, j.venues, m, cards, venues, faults)
	}
	return report(e.out, cards, faults)
}

// open takes every disk, or none. Of all that are in readers it leaves those alone that cannot be taken.
func (j *flashJob) open(e env, size int64) (cards []*flash.Card, err error) {
	if j.all {
		if j.disks, err = flash.Readers("/sys"); err != nil {
			return nil, err
		}
	}
	var faults []error
	for _, path := range j.disks {
		c, err := flash.Open(filepath.Clean(path), size, j.large)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		cards = append(cards, c)
	}
	if j.all {
		for _, err := range faults {
			fmt.Fprintf(e.err, "left alone: %v\n", err)
		}
		if faults = nil; len(cards) == 0 {
			faults = []error{errors.New("no card in any reader that can be taken")}
		}
	}
	return cards, errors.Join(faults...)
}

// agreed asks whether what is on the disks may go.
func agreed(e env, cards []*flash.Card) bool {
	for _, c := range cards {
		fmt.Fprintf(e.err, "%s  %s  %.1f GB\n", c.Path, c.Model, float64(c.Size)/1e9)
	}
	fmt.Fprint(e.err, "Everything on them will be lost. Write \"yes\" to go on: ")
	answer, _ := bufio.NewReader(e.in).ReadString('\n') // whatever else it is, it is no yes
	return strings.TrimSpace(answer) == "yes"
}

// report tells of each card how it went.
func report(w io.Writer, cards []*flash.Card, faults []error) error {
	bad := 0
	for i, c := range cards {
		if faults[i] == nil {
			fmt.Fprintf(w, "%s is written and was read back: it may be pulled out\n", c.Path)
			continue
		}
		bad++
		fmt.Fprintf(w, "%s is not usable: %v\n", c.Path, faults[i])
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d cards failed", bad, len(cards))
	}
	return nil
}
