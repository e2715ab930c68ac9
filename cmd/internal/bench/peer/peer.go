// Package peer runs the readers of other projects as programs of their own (scanner/qr/bench), one picture after the other.
package peer

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is what this process has used, in microseconds: what its garbage costs counts.
func CPU() float64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) // cannot fail
	return float64(t.Nano()) / float64(time.Microsecond)
}

// A Peer is such a program.
type Peer struct {
	Label string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
}

// Start starts the program at path.
func Start(ctx context.Context, label, path string) (*Peer, error) {
	p := &Peer{Label: label, cmd: exec.CommandContext(ctx, path)}
	p.cmd.Stderr = os.Stderr
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w (make bench-scan builds it)", label, err)
	}
	return p, nil
}

// Read has it read the PGM file, and returns the microseconds of CPU that this took.
func (p *Peer) Read(file string) (took float64, texts []string, err error) {
	if _, err := fmt.Fprintln(p.in, file); err != nil {
		return 0, nil, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, nil, err
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if took, err = strconv.ParseFloat(words[0], 64); err != nil {
		return 0, nil, err
	}
	for _, w := range words[1:] {
		text, err := hex.DecodeString(w)
		if err != nil {
			return 0, nil, err
		}
		texts = append(texts, string(text))
	}
	return took, texts, nil
}

// Close ends it; a nil Peer has ended.
func (p *Peer) Close() {
	if p == nil {
		return
	}
	p.in.Close()
	p.cmd.Wait()
}
