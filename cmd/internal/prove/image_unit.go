package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/process"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/cmd/internal/selfsign"
	"gatepost/storage/entry"
)

// A unit is a board with a card, what it has acknowledged, and the office and the hub behind it.
type unit struct {
	p       *proof.Run
	kit     kit
	dir     string
	bin     string
	port    string // of the hub
	hub     *process.Process
	disk    *disk
	listen  net.Listener
	served  chan struct{}
	card    []byte // as it was flashed
	codes   []string
	signed  int // enrolments
	orders  int
	part    int // of the codes, that is shown next
	people  int
	device  string // as it named itself last
	flashed bool   // the enrolment is on the card
	acks    map[shown]string
	t       proof.Tally
}

// A shown verdict is an acknowledged one.
type shown struct {
	device string
	seq    uint64
}

func newUnit(ctx context.Context, p *proof.Run, flashed bool) (u *unit, err error) {
	u = &unit{p: p, kit: kit(filepath.Join(p.Work, "image")), bin: filepath.Join(p.Work, "bin"), flashed: flashed, acks: map[shown]string{}}
	if u.dir, err = os.MkdirTemp(p.Work, "unit-"); err != nil {
		return nil, err
	}
	for _, name := range []string{"gatehub", "gatectl"} {
		if _, err := p.Program(ctx, name); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(u.kit.file("initrd.gz")); err != nil {
		out, err := run(ctx, p.Root, filepath.Join(p.Root, "buildroot/test/image.sh"), string(u.kit))
		if err != nil {
			return nil, err
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		p.Say("%s", lines[len(lines)-1])
	}
	if err := u.office(ctx); err != nil {
		return nil, err
	}
	if err := u.flash(ctx); err != nil {
		u.hub.Kill()
		return nil, err
	}
	return u, u.insert(false)
}

// office makes the keys, starts the hub, and signs the unit's enrolment.
func (u *unit) office(ctx context.Context) error {
	for _, kind := range []string{"maker", "issuer", "authority"} {
		if _, err := u.gatectl(ctx, "keygen", "-kind", kind, "-out", "keys"); err != nil {
			return err
		}
	}
	addrs, err := demo.FreeAddrs("127.0.0.1", 1)
	if err != nil {
		return err
	}
	if _, u.port, err = net.SplitHostPort(addrs[0]); err != nil {
		return err
	}
	if err := selfsign.Create(filepath.Join(u.dir, "hub", "tls"), time.Now(), hubHost, "127.0.0.1"); err != nil {
		return err
	}
	text := fmt.Sprintf("schema = 1\ndata = \"hub\"\nlisten = %q\npages = \"\"\nissuer = \"keys/issuer.pub.pem\"\n", addrs[0])
	if err := os.WriteFile(filepath.Join(u.dir, "gatehub.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	u.hub = process.New(filepath.Join(u.bin, "gatehub"), u.dir, "gatehub", "-config", filepath.Join(u.dir, "gatehub.toml"))
	if err := u.hub.Start(); err != nil {
		return err
	}
	for receipt := filepath.Join(u.dir, "hub", "receipt.pub.pem"); ; {
		if _, err := os.Stat(receipt); err == nil {
			break
		}
		if !u.hub.Running() || ctx.Err() != nil {
			return fmt.Errorf("the hub does not start: %w", ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
	return u.sign(ctx)
}

// renew makes another gate of the unit, on a new card.
func (u *unit) renew(ctx context.Context) error {
	return errors.Join(u.sign(ctx), u.flash(ctx), u.insert(false))
}

// sign makes an enrolment, which serves one unit, and its codes.
func (u *unit) sign(ctx context.Context) error {
	u.signed++
	out := fmt.Sprintf("codes-%d", u.signed)
	if _, err := u.gatectl(ctx, "enrol", "-key", "keys/issuer.key", "-hub", "https://"+hubHost+":"+u.port, "-ca", authority,
		"-receipt-key", "hub/receipt.pub.pem", "-authority", "keys/authority.pub.pem", "-venue", "Chợ Mẫu", "-area", "Mê Linh",
		"-name", "cho-mau-1", "-out", out); err != nil {
		return err
	}
	parts, err := os.ReadFile(filepath.Join(u.dir, out, "parts.txt"))
	u.codes = strings.Fields(string(parts))
	return err
}

// flash writes a card as a technician does, onto a loop device.
func (u *unit) flash(ctx context.Context) error {
	image, path := u.kit.file("card.img"), filepath.Join(u.dir, "card")
	if _, err := u.gatectl(ctx, "flash", "map", "-key", "keys/maker.key", image); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, cardSize)); err != nil {
		return err
	}
	loop, err := run(ctx, u.dir, "losetup", "-f", "--show", path)
	if err != nil {
		return err
	}
	loop = strings.TrimSpace(loop)
	defer exec.Command("losetup", "-d", loop).Run()
	words := []string{"flash", "-key", "keys/maker.pub.pem", "-yes", image, loop}
	if u.flashed {
		table := fmt.Sprintf("gates-%d.csv", u.signed)
		if err := os.WriteFile(filepath.Join(u.dir, table), fmt.Appendf(nil, "codes\ncodes-%d\n", u.signed), 0o600); err != nil {
			return err
		}
		words = slices.Insert(words, 4, "-venues", table)
	}
	if _, err := u.gatectl(ctx, words...); err != nil {
		return err
	}
	u.card, err = os.ReadFile(loop)
	return err
}

// insert puts a card as it was flashed into the unit. A lying one forgets what it was told to flush.
func (u *unit) insert(lying bool) (err error) {
	u.eject()
	u.device = ""
	if u.disk, err = newDisk(u.card, lying); err != nil {
		return err
	}
	if u.listen, err = net.Listen("unix", filepath.Join(u.dir, "disk")); err != nil {
		return err
	}
	u.served = make(chan struct{})
	go func(d *disk, l net.Listener, served chan struct{}) {
		defer close(served)
		d.serve(l)
	}(u.disk, u.listen, u.served)
	return nil
}

func (u *unit) eject() {
	if u.listen != nil {
		u.listen.Close()
		<-u.served
		u.listen = nil
	}
}

func (u *unit) close() {
	u.eject()
	u.hub.Kill()
}

func (u *unit) gatectl(ctx context.Context, words ...string) (string, error) {
	return run(ctx, u.dir, filepath.Join(u.bin, "gatectl"), words...)
}

// run runs a program to its end and returns what it prints.
func run(ctx context.Context, dir, program string, words ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, words...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(words, " "), err, complaint.String())
	}
	return string(out), nil
}

// person returns the code of somebody who was never here, as the Vietnamese national card has it.
func (u *unit) person() string {
	u.people++
	return fmt.Sprintf("0011900%05d||Trần Thị Mẫu|02031990|Nữ|Thôn Mẫu, Xã Mẫu|05062022", u.people)
}

// ready waits until the gate works, and holds its journal to what it acknowledged.
func (u *unit) ready(ctx context.Context, b *powered) error {
	s, err := b.await(ctx, "the gate is ready", func(s guard.State) bool { return s.Device != "" && s.Enrol == nil && s.Lanes[0].OK })
	if err != nil {
		return err
	}
	if last := u.last(); s.Seq < last || u.device != "" && s.Device != u.device {
		u.t.Lost++
		u.p.Say("✗ behind cut %d: device %s is at entry %d, and device %s had acknowledged %d", u.t.Cuts, s.Device, s.Seq, u.device, last)
	}
	u.device = s.Device
	return nil
}

// last returns the highest sequence that the unit has acknowledged with its card.
func (u *unit) last() (seq uint64) {
	for a := range u.acks {
		if a.device == u.device {
			seq = max(seq, a.seq)
		}
	}
	return seq
}

// learn takes the verdicts that the gate shows for acknowledgements. The reason is sealed, and after a start no gate knows it.
func (u *unit) learn(s guard.State) {
	for _, r := range s.Recent {
		at := shown{s.Device, r.Seq}
		if now := fmt.Sprint(r.Verdict, " ", r.Reason); len(now) > len(u.acks[at]) {
			u.acks[at] = now
		}
	}
}

// pass lets somebody show a code until the gate has judged it.
func (u *unit) pass(ctx context.Context, b *powered) error {
	before := u.last()
	b.show(u.person())
	s, err := b.await(ctx, "a code is judged", func(s guard.State) bool { return len(s.Recent) > 0 && s.Recent[0].Seq > before })
	if err != nil {
		return err
	}
	u.learn(s)
	return nil
}

// cut takes the power away.
func (u *unit) cut(b *powered, random *rand.Rand) {
	b.end()
	volatile, gone := u.disk.off(random, chance(random))
	u.t.Cuts++
	u.p.Say("cut %d behind entry %d; of %d sectors not flushed, %d lost", u.t.Cuts, u.last(), volatile, gone)
}

// sent waits until the hub has everything.
func (u *unit) sent(ctx context.Context, b *powered) error {
	_, err := b.await(ctx, "all is sent", func(s guard.State) bool { return s.Unsent == 0 && s.Online })
	return err
}

// finish lets the gate send what it holds, and looks for everything that was acknowledged in a pull.
func (u *unit) finish(ctx context.Context) error {
	b, err := u.boot(ctx, false)
	if err != nil {
		return err
	}
	defer b.end()
	if err := u.ready(ctx, b); err != nil {
		return err
	}
	if err := u.pass(ctx, b); err != nil {
		return err
	}
	if err := u.sent(ctx, b); err != nil {
		return err
	}
	out, err := u.gatectl(ctx, "pull", "-hub", "https://127.0.0.1:"+u.port, "-ca", authority, "-token", "hub/token", "-key", "keys/authority.key")
	if err != nil {
		return err
	}
	found := map[shown]string{}
	for in := json.NewDecoder(strings.NewReader(out)); ; {
		var line struct {
			Device        string
			Seq           uint64
			Kind, Verdict string
			Personal      *entry.Personal
		}
		if err := in.Decode(&line); err != nil {
			break
		}
		if line.Kind == "passage" && line.Personal != nil {
			found[shown{line.Device, line.Seq}] = fmt.Sprint(line.Verdict, " ", line.Personal.Reason)
		}
	}
	for at, verdict := range u.acks {
		if !strings.HasPrefix(found[at], verdict) {
			u.t.Lost++
			u.p.Say("✗ entry %d of %s: %q at the hub, and the gate had shown %q", at.seq, at.device, found[at], verdict)
		}
	}
	u.p.Say("%d verdicts were shown, and %d passages are pulled", len(u.acks), len(found))
	if len(u.acks) == 0 {
		return errors.New("nothing was acknowledged: this proves nothing")
	}
	return nil
}
