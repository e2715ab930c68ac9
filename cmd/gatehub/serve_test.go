package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A connection may have few requests at once, so that one peer cannot hold every slot: the server's first frame says so,
// SETTINGS by RFC 9113, section 6.5.
func TestFewStreamsOfAConnection(t *testing.T) {
	const frameHead, settings = 9, 4
	p := start(t, t.TempDir())
	c := p.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	c.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), c)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+"\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and no settings of ours
	must(t, err)
	head := make([]byte, frameHead)
	_, err = io.ReadFull(conn, head)
	must(t, err)
	body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(conn, body)
	must(t, err)
	said := func(s []byte) bool { return string(s) == "\x00\x03"+"\x00\x00\x00\x08" } // MAX_CONCURRENT_STREAMS is 8
	if head[3] != settings || !slices.ContainsFunc(slices.Collect(slices.Chunk(body, 6)), said) {
		t.Errorf("frame of type %d, settings %x", head[3], body)
	}
}
