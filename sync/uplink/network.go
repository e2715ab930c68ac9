package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	quiet    = time.Second      // without news, until a change of the network counts as finished
	maxQuiet = 10 * time.Second // until one counts that never finishes
	maxLinks = 256              // whose flags are remembered
)

// WatchNetwork calls ready once it hears all news, and then changed when a link has come up or an address or a route has
// come to this machine (rtnetlink(7)), until ctx ends: then it returns nil. News that come together are one change. It
// needs no privilege.
func WatchNetwork(ctx context.Context, ready, changed func()) error {
	f, err := openNetlink()
	if err != nil {
		return fmt.Errorf("watch network: %w", err)
	}
	defer f.Close()
	ready()
	defer context.AfterFunc(ctx, func() { f.Close() })() // ends the read
	if err := readNetlink(f, changed); ctx.Err() == nil {
		return fmt.Errorf("watch network: %w", err)
	}
	return nil
}

// openNetlink subscribes to the kernel's news of links, addresses and routes.
func openNetlink() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// readNetlink reads until f is closed or fails. A read deadline is the end of the quiet.
func readNetlink(f *os.File, changed func()) error {
	buf := make([]byte, 16<<10) // the kernel cuts longer news; their head says enough
	flags := links{}
	var latest time.Time // zero: nothing to tell
	for {
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			changed()
			latest = time.Time{}
			if err := f.SetReadDeadline(latest); err != nil {
				return err
			}
			continue
		case errors.Is(err, unix.ENOBUFS): // more news than the socket holds
		case err != nil:
			return err
		case !flags.tell(buf[:n]):
			continue
		}
		now := time.Now()
		if latest.IsZero() {
			latest = now.Add(maxQuiet)
		}
		end := now.Add(quiet)
		if end.After(latest) {
			end = latest
		}
		if err := f.SetReadDeadline(end); err != nil {
			return err
		}
	}
}

// links remembers the flags of each link by its index: the kernel also tells of links that merely scanned for others.
type links map[uint32]uint32

// tell reports whether news have something that may open a way to the hub.
func (l links) tell(news []byte) (yes bool) {
	for len(news) >= unix.SizeofNlMsghdr {
		size, kind := binary.NativeEndian.Uint32(news), binary.NativeEndian.Uint16(news[4:])
		switch {
		case kind == unix.RTM_NEWADDR || kind == unix.RTM_NEWROUTE:
			yes = true
		case kind == unix.RTM_NEWLINK && len(news) >= unix.SizeofNlMsghdr+unix.SizeofIfInfomsg:
			body := news[unix.SizeofNlMsghdr:]
			yes = l.up(binary.NativeEndian.Uint32(body[4:]), binary.NativeEndian.Uint32(body[8:])) || yes
		}
		size = (size + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(news)) {
			break
		}
		news = news[size:]
	}
	return yes
}

// up reports whether link index has come up with these flags.
func (l links) up(index, flags uint32) bool {
	if len(l) >= maxLinks {
		clear(l)
	}
	before := l[index]
	l[index] = flags
	return flags != before && flags&unix.IFF_RUNNING != 0
}
