package main

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// echo answers each connection with what came, in capitals.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for b := make([]byte, 100); ; {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					c.Write(bytes.ToUpper(b[:n]))
				}
			})
		}
	})
	return l.Addr().String()
}

func TestCable(t *testing.T) {
	k, err := newCable(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	for _, c := range []struct {
		cut
		came string
	}{
		{cut{up: true, after: 2}, "AB"},
		{cut{up: true, after: 0}, ""},
		{cut{after: 3}, "ABC"},
		{cut{after: 3, reset: true}, "ABC"},
		{cut{after: 5, reset: true}, "ABCDE"},
	} {
		broken := k.set(c.cut)
		near, err := net.Dial("tcp", k.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		near.Write([]byte("abcde")) // an error is the cut
		got, err := io.ReadAll(near)
		if !bytes.HasPrefix([]byte(c.came), got) || !c.up && !c.reset && string(got) != c.came { // else the kernel may drop what came before
			t.Errorf("%+v: %q came, %v", c.cut, got, err)
		}
		<-broken
		near.Close()

		dark, err := net.Dial("tcp", k.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		dark.Write([]byte("later"))
		k.mend()
		word := make([]byte, 5)
		if _, err := io.ReadFull(dark, word); err != nil || string(word) != "LATER" {
			t.Errorf("behind %+v: %q, %v", c.cut, word, err)
		}
		dark.Close()
	}
}
