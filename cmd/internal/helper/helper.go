// Package helper separates a gate's privileges. The program that init starts as root stays behind as the helper: it starts
// itself again under a user without any, to which a pair of sockets binds it, and does what that asks of a short, fixed list.
// So whoever takes the gate over by a camera, a network or a stick has no root, and cannot write to the system that runs.
//
// It does not protect the gate's own entries and keys from the gate.
package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"gatepost/device/slot"
)

const (
	socketVar  = "GATEPOST_HELPER" // names the descriptor of the socket in the environment
	socketFD   = 3
	maxMessage = 4096 // bytes
	maxFiles   = 2
)

// The list.
const (
	doKind    = "stick kind"
	doMount   = "stick mount"
	doUnmount = "stick unmount"
	doClock   = "clock"
	doSlot    = "slot open"
	doDefault = "slot default"
	doRestart = "restart"
)

// request is one of the list, with what it needs.
type request struct {
	Do    string    `json:"do"`
	Name  string    `json:"name,omitempty"`  // of a block device, as "sda1"
	Force bool      `json:"force,omitempty"` // unmount
	At    time.Time `json:"at,omitzero"`
	Slot  slot.Slot `json:"slot,omitempty"`
	Try   bool      `json:"try,omitempty"` // restart into the other slot, once
}

type answer struct {
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

// A Client asks the helper. It is safe for concurrent use. It is a kiosk.Mounter.
type Client struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

// Inherited returns the client of the helper that has started this program; nil where none has. It may be called once.
func Inherited() (*Client, error) {
	if os.Getenv(socketVar) == "" {
		return nil, nil
	}
	os.Unsetenv(socketVar)
	return newClient(os.NewFile(socketFD, "helper"))
}

func newClient(f *os.File) (*Client, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("helper: %w", err)
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("helper: no socket"), conn.Close())
	}
	return &Client{conn: unix}, nil
}

// Close ends the connection, and the helper with it.
func (c *Client) Close() error { return c.conn.Close() }

// ask returns the answer with the files that came with it.
func (c *Client) ask(r request) (a answer, files []*os.File, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := json.Marshal(r)
	if err != nil {
		return a, nil, err
	}
	if _, err := c.conn.Write(raw); err != nil {
		return a, nil, fmt.Errorf("helper: %w", err)
	}
	buf, side := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4*maxFiles))
	n, sideN, _, _, err := c.conn.ReadMsgUnix(buf, side)
	if err == nil {
		files, err = filesIn(side[:sideN])
	}
	if err == nil {
		err = json.Unmarshal(buf[:n], &a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		err = fmt.Errorf("helper: %s: %w", r.Do, err)
	}
	return a, files, err
}

func filesIn(side []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(side)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "of the helper"))
		}
	}
	return files, nil
}

func (c *Client) do(r request) error {
	_, _, err := c.ask(r)
	return err
}

// Kind returns the kind of a device's file system if that is a stick's, else "".
func (c *Client) Kind(name string) (string, error) {
	a, _, err := c.ask(request{Do: doKind, Name: name})
	return a.Kind, err
}

// Mount mounts a stick at the gate's folder for sticks.
func (c *Client) Mount(name string) error { return c.do(request{Do: doMount, Name: name}) }

// Unmount unmounts it.
func (c *Client) Unmount(force bool) error { return c.do(request{Do: doUnmount, Force: force}) }

// SetClock sets the system's clock.
func (c *Client) SetClock(at time.Time) error { return c.do(request{Do: doClock, At: at}) }

// OpenSlot returns the two partitions of a slot that does not run, for reading and writing.
func (c *Client) OpenSlot(s slot.Slot) (boot, root *os.File, err error) {
	_, files, err := c.ask(request{Do: doSlot, Slot: s})
	if err == nil && len(files) != 2 {
		err = fmt.Errorf("helper: %d files instead of 2", len(files))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, nil, err
	}
	return files[0], files[1], nil
}

// SetDefault makes a slot the one that starts.
func (c *Client) SetDefault(s slot.Slot) error { return c.do(request{Do: doDefault, Slot: s}) }

// Restart ends the gate and starts the board again; try is for the other slot, once.
func (c *Client) Restart(try bool) error { return c.do(request{Do: doRestart, Try: try}) }
