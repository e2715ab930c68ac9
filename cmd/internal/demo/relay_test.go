package demo

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestRelayCutsMendsAndKeeps(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	capture := filepath.Join(t.TempDir(), "wire")
	r, err := newRelay("127.0.0.1:0", echo.Addr().String(), capture)
	if err != nil {
		t.Fatal(err)
	}
	say := func(line string) error {
		c, err := net.Dial("tcp", r.listener.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := fmt.Fprintln(c, line); err != nil {
			return err
		}
		_, err = bufio.NewReader(c).ReadString('\n')
		return err
	}
	if err := say("before"); err != nil {
		t.Errorf("whole wire: %v", err)
	}
	r.setCut(true)
	if err := say("between"); err == nil {
		t.Error("a cut wire carried a line")
	}
	r.setCut(false)
	if err := say("after"); err != nil {
		t.Errorf("mended wire: %v", err)
	}
	r.Close()
	kept, err := os.ReadFile(capture)
	if err != nil || string(kept) != "before\nbefore\nafter\nafter\n" {
		t.Errorf("the wire kept %q, %v", kept, err)
	}
}
