package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// This file speaks to a disk's guest: NBD's fixed newstyle negotiation and simple replies, over a Unix socket.
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md has the numbers.
const (
	nbdOption  = 0x49484156454F5054 // IHAVEOPT
	nbdAnswer  = 0x3e889045565a9
	nbdRequest = 0x25609513
	nbdReply   = 0x67446698

	optAbort, optInfo, optGo        = 2, 6, 7
	repAck, repInfo, repUnsupported = 1, 3, 1<<31 | 1
	askRead, askWrite, askDisc      = 0, 1, 2
	askFlush                        = 3 // TRIM (4), WRITE_ZEROES (6) and what else there is are not offered, and refused
	flagFUA                         = 1

	nbdInvalid = 22 // EINVAL
	nbdRefused = 95 // ENOTSUP

	maxOption  = 4 << 10
	maxOptions = 64
	maxRequest = 32 << 20
)

var be = binary.BigEndian

// A request is what stands in the 28 bytes before a write's data.
type request struct {
	flags, kind uint16
	cookie      uint64
	off         uint64
	size        uint32
}

// parseRequest reads a request's header. After an error the stream cannot be followed any more.
func parseRequest(b [28]byte) (request, error) {
	q := request{
		flags: be.Uint16(b[4:]), kind: be.Uint16(b[6:]), cookie: be.Uint64(b[8:]),
		off: be.Uint64(b[16:]), size: be.Uint32(b[24:]),
	}
	if magic := be.Uint32(b[:]); magic != nbdRequest {
		return request{}, fmt.Errorf("request begins with %#x", magic)
	}
	if (q.kind == askRead || q.kind == askWrite) && q.size > maxRequest {
		return request{}, fmt.Errorf("request for %d bytes exceeds %d", q.size, maxRequest)
	}
	return q, nil
}

// refusal returns the error number for a request that a disk of size bytes does not carry out, or 0.
func (q request) refusal(size uint64) uint32 {
	switch {
	case q.kind == askFlush && q.flags == 0 && q.off == 0 && q.size == 0:
		return 0
	case q.kind != askRead && q.kind != askWrite && q.kind != askFlush:
		return nbdRefused
	case q.kind == askFlush || q.flags&^flagFUA != 0:
		return nbdInvalid
	case q.size == 0 || q.off%sectorSize != 0 || q.size%sectorSize != 0:
		return nbdInvalid
	case q.off > size || uint64(q.size) > size-q.off:
		return nbdInvalid
	}
	return 0
}

// serve answers one guest after another until l is closed. What a guest does wrong is kept in d.err.
func (d *disk) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				d.fail(fmt.Errorf("serve disk: %w", err))
			}
			return
		}
		if err := d.session(c); err != nil {
			d.fail(fmt.Errorf("serve disk: %w", err))
		}
		c.Close()
	}
}

// session speaks with one guest until it goes. When the power goes it answers no more, and waits for that.
func (d *disk) session(c io.ReadWriter) error {
	r := bufio.NewReaderSize(c, 1<<16)
	ready, err := d.negotiate(r, c)
	for ready && err == nil {
		ready, err = d.answer(r, c)
	}
	if errors.Is(err, errDark) {
		_, err = io.Copy(io.Discard, r)
	}
	return gone(err)
}

// gone takes the ways in which a killed guest leaves for no error.
func gone(err error) error {
	var broken *net.OpError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) {
		return nil
	}
	return err
}

// negotiate offers the one disk there is. It reports whether the guest took it.
func (d *disk) negotiate(r io.Reader, w io.Writer) (taken bool, err error) {
	if _, err := w.Write([]byte("NBDMAGICIHAVEOPT\x00\x03")); err != nil {
		return false, err
	}
	var flags [4]byte
	if _, err := io.ReadFull(r, flags[:]); err != nil {
		return false, err
	}
	for range maxOptions {
		var head [16]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return false, err
		}
		option, size := be.Uint32(head[8:]), be.Uint32(head[12:])
		if be.Uint64(head[:]) != nbdOption || size > maxOption {
			return false, fmt.Errorf("no NBD option, or one of %d bytes", size)
		}
		if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
			return false, err
		}
		if _, err := w.Write(d.offer(option)); err != nil || option == optGo || option == optAbort {
			return option == optGo, err
		}
	}
	return false, fmt.Errorf("more than %d NBD options", maxOptions)
}

// offer returns the answer to an option.
func (d *disk) offer(option uint32) []byte {
	answer := func(b []byte, kind uint32, data []byte) []byte {
		b = be.AppendUint64(b, nbdAnswer)
		b = be.AppendUint32(b, option)
		b = be.AppendUint32(b, kind)
		return append(be.AppendUint32(b, uint32(len(data))), data...)
	}
	switch option {
	case optInfo, optGo:
		export := be.AppendUint64([]byte{0, 0}, uint64(len(d.seen)))
		export = be.AppendUint16(export, 1|4|8) // there are flags; FLUSH and FUA are understood
		sizes := be.AppendUint32([]byte{0, 3}, sectorSize)
		sizes = be.AppendUint32(be.AppendUint32(sizes, 4096), maxRequest)
		return answer(answer(answer(nil, repInfo, export), repInfo, sizes), repAck, nil)
	case optAbort:
		return answer(nil, repAck, nil)
	}
	return answer(nil, repUnsupported, nil)
}

// answer carries out one request. It reports whether another may come.
func (d *disk) answer(r io.Reader, w io.Writer) (more bool, err error) {
	var head [28]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	q, err := parseRequest(head)
	if err != nil || q.kind == askDisc {
		return false, err
	}
	var data []byte
	if q.kind == askWrite {
		data = make([]byte, q.size)
		if _, err := io.ReadFull(r, data); err != nil {
			return false, err
		}
	}
	refusal := q.refusal(uint64(len(d.seen)))
	reply := be.AppendUint32(nil, nbdReply)
	reply = be.AppendUint32(reply, refusal)
	reply = be.AppendUint64(reply, q.cookie)
	if refusal == 0 {
		if reply, err = d.carry(q, data, reply); err != nil {
			return false, err
		}
	}
	_, err = w.Write(reply)
	return true, err
}

// carry carries out a request that was not refused and adds what was read to reply.
func (d *disk) carry(q request, data, reply []byte) ([]byte, error) {
	switch {
	case q.kind == askRead:
		at := len(reply)
		reply = append(reply, make([]byte, q.size)...)
		return reply, d.read(reply[at:], int64(q.off))
	case q.kind == askFlush:
		return reply, d.do(event{action: flushed})
	case q.flags&flagFUA != 0:
		return reply, d.do(event{action: wroteThrough, off: int64(q.off), data: data})
	}
	return reply, d.do(event{action: wrote, off: int64(q.off), data: data})
}
