package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// A client is a guest that speaks NBD.
type client struct {
	t *testing.T
	net.Conn
}

// dial connects a guest to d, and takes the disk.
func dial(t *testing.T, d *disk) client {
	t.Helper()
	c, s := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- d.session(s); s.Close() }()
	t.Cleanup(func() {
		c.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	g := client{t, c}
	g.want([]byte("NBDMAGICIHAVEOPT\x00\x03"))
	g.send(uint32(3))
	g.send(uint64(nbdOption), uint32(8), uint32(2), []byte("xx")) // structured replies: not known
	g.want(be.AppendUint32(be.AppendUint32(be.AppendUint32(be.AppendUint64(nil, nbdAnswer), 8), repUnsupported), 0))
	g.send(uint64(nbdOption), uint32(optGo), uint32(0))
	answers := make([]byte, (20+12)+(20+14)+20)
	if _, err := io.ReadFull(g, answers); err != nil {
		t.Fatal(err)
	}
	if size := be.Uint64(answers[22:]); size != uint64(len(d.seen)) {
		t.Fatalf("a disk of %d bytes", size)
	}
	return g
}

func (g client) send(parts ...any) {
	g.t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		binary.Write(&b, be, p)
	}
	if _, err := g.Write(b.Bytes()); err != nil {
		g.t.Fatal(err)
	}
}

func (g client) want(want []byte) {
	g.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(g, got); err != nil || !bytes.Equal(got, want) {
		g.t.Fatalf("got %x, want %x, %v", got, want, err)
	}
}

// ask sends a request and returns the error number of the answer, and size bytes behind it.
func (g client) ask(flags, kind uint16, off uint64, size uint32, data []byte) (number uint32, read []byte) {
	g.t.Helper()
	g.send(uint32(nbdRequest), flags, kind, uint64(77), off, size, data)
	head := make([]byte, 16)
	if _, err := io.ReadFull(g, head); err != nil || be.Uint32(head) != nbdReply || be.Uint64(head[8:]) != 77 {
		g.t.Fatalf("answered by %x, %v", head, err)
	}
	if number = be.Uint32(head[4:]); number == 0 && kind == askRead {
		read = make([]byte, size)
		if _, err := io.ReadFull(g, read); err != nil {
			g.t.Fatal(err)
		}
	}
	return number, read
}

func TestGuestReadsWhatItWrote(t *testing.T) {
	d, err := newDisk(filled(4, '0'), false)
	if err != nil {
		t.Fatal(err)
	}
	d.on()
	g := dial(t, d)
	for _, c := range []struct {
		name        string
		flags, kind uint16
		off, size   int
		data        []byte
		want        uint32
	}{
		{"write", 0, askWrite, 1, 2, filled(2, '1'), 0},
		{"write through", flagFUA, askWrite, 3, 1, filled(1, '2'), 0},
		{"flush", 0, askFlush, 0, 0, nil, 0},
		{"write beyond the end", 0, askWrite, 3, 2, filled(2, 'x'), nbdInvalid},
		{"write far beyond", 0, askWrite, 1 << 54, 1, filled(1, 'x'), nbdInvalid},
		{"write with another flag", 2, askWrite, 0, 1, filled(1, 'x'), nbdInvalid},
		{"read of nothing", 0, askRead, 0, 0, nil, nbdInvalid},
		{"flush of a part", 0, askFlush, 1, 1, nil, nbdInvalid},
		{"trim", 0, 4, 0, 1, nil, nbdRefused},
		{"zeroes", 0, 6, 0, 1, nil, nbdRefused},
	} {
		if got, _ := g.ask(c.flags, c.kind, uint64(c.off)*sectorSize, uint32(c.size)*sectorSize, c.data); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n, _ := g.ask(0, askRead, 1, sectorSize, nil); n != nbdInvalid {
		t.Errorf("read from the middle of a sector: %d", n)
	}
	n, got := g.ask(0, askRead, 0, 4*sectorSize, nil)
	if n != 0 || string(first(t, got)) != "0112" || string(first(t, d.kept)) != "0112" {
		t.Errorf("read %d: %s, kept %s", n, first(t, got), first(t, d.kept))
	}
	g.send(uint32(nbdRequest), uint16(0), uint16(askDisc), uint64(0), uint64(0), uint32(0))
}

// TestAnsweredFlushKeeps writes and flushes until the power goes, again and again.
func TestAnsweredFlushKeeps(t *testing.T) {
	for lying, wantLost := range map[bool]bool{false: false, true: true} {
		random, lost := rand.New(rand.NewPCG(1, 1)), 0
		d, err := newDisk(filled(1, 0), lying)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			dark := d.on()
			d.arm(1 + random.IntN(20))
			acknowledged := count(dial(t, d), dark, d.kept[0])
			<-dark
			d.off(random, chance(random))
			if int8(d.kept[0]-acknowledged) < 0 {
				lost++
			}
		}
		if lost > 0 != wantLost {
			t.Errorf("lying %v: %d of 50 cuts lost something", lying, lost)
		}
	}
}

// count counts up in the first sector, from n, until the power goes. It returns the last number that was flushed.
func count(g client, dark <-chan struct{}, n byte) (acknowledged byte) {
	go func() { <-dark; g.Close() }()
	request := func(kind uint16, data []byte) bool {
		b := be.AppendUint16(be.AppendUint16(be.AppendUint32(nil, nbdRequest), 0), kind)
		b = be.AppendUint32(be.AppendUint64(be.AppendUint64(b, 1), 0), uint32(len(data)))
		if _, err := g.Write(append(b, data...)); err != nil {
			return false
		}
		_, err := io.ReadFull(g, make([]byte, 16))
		return err == nil
	}
	for {
		acknowledged, n = n, n+1
		if !request(askWrite, filled(1, n)) || !request(askFlush, nil) {
			return acknowledged
		}
	}
}

func TestStreamThatIsNoNBD(t *testing.T) {
	ok := be.AppendUint32(be.AppendUint32(be.AppendUint64(be.AppendUint32(nil, 3), nbdOption), optGo), 0)
	request := func(kind uint16, size uint32) []byte {
		b := be.AppendUint16(be.AppendUint16(be.AppendUint32(bytes.Clone(ok), nbdRequest), 0), kind)
		return be.AppendUint32(be.AppendUint64(be.AppendUint64(b, 0), 0), size)
	}
	abort := be.AppendUint32(be.AppendUint32(be.AppendUint64(nil, nbdOption), 99), 0)
	for name, in := range map[string][]byte{
		"another magic":    append(bytes.Clone(ok), make([]byte, 28)...),
		"too much":         request(askWrite, maxRequest+1),
		"no option":        make([]byte, 20),
		"a vast option":    be.AppendUint32(be.AppendUint32(be.AppendUint64(make([]byte, 4), nbdOption), 99), maxOption+1),
		"options for ever": append(make([]byte, 4), bytes.Repeat(abort, maxOptions)...),
	} {
		if err := talk(t, in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, in := range map[string][]byte{
		"nothing":           nil,
		"half a request":    request(askRead, 512)[:40],
		"half of its data":  append(request(askWrite, 512), 1, 2, 3),
		"a farewell":        request(askDisc, 0),
		"taking up nothing": be.AppendUint32(be.AppendUint32(be.AppendUint64(make([]byte, 4), nbdOption), optAbort), 0),
	} {
		if err := talk(t, in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// talk lets a guest say in and go. Whatever it said, the medium changed only by a flush or FUA.
func talk(t *testing.T, in []byte) error {
	t.Helper()
	d, err := newDisk(filled(8, '0'), false)
	if err != nil {
		t.Fatal(err)
	}
	d.on()
	d.record = &tape{}
	err = d.session(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(in), io.Discard})
	durable := false
	for _, e := range d.record.events {
		durable = durable || e.action != wrote
	}
	if !durable && !bytes.Equal(d.kept, filled(8, '0')) {
		t.Error("the medium changed without a flush")
	}
	return err
}

func FuzzSession(f *testing.F) {
	head := be.AppendUint32(be.AppendUint32(be.AppendUint64(make([]byte, 4), nbdOption), optGo), 0)
	for kind := range uint16(8) {
		b := be.AppendUint16(be.AppendUint16(be.AppendUint32(nil, nbdRequest), kind&flagFUA), kind)
		b = be.AppendUint32(be.AppendUint64(be.AppendUint64(b, 5), 512), 1024)
		f.Add(append(append(bytes.Clone(head), b...), filled(2, 7)...))
	}
	f.Add(head[:9])
	f.Fuzz(func(t *testing.T, in []byte) { talk(t, in) })
}
