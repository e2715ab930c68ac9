package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/scanner/luma"
	"gatepost/scanner/qr"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/sys/unix"
)

// A reader reads one picture, which it is given as a file and as a plane, and tells how many microseconds of CPU that took.
type reader interface {
	name() string
	read(file string, p *luma.Plane) (took float64, texts []string, err error)
	close()
}

// start returns the readers, this project's first and zxing-cpp, to which all are compared, second.
func start(ctx context.Context, dir string) ([]reader, error) {
	ours := qr.New()
	plain := qrcode.NewQRCodeReader()
	zxing, err1 := startPeer(ctx, "zxing-cpp", filepath.Join(dir, "bench-zxing"))
	zbar, err2 := startPeer(ctx, "ZBar", filepath.Join(dir, "bench-zbar"))
	return []reader{
		&inside{"Gatepost", ours.Read}, zxing, zbar,
		&inside{"gozxing", func(p *luma.Plane) []string {
			source, err := gozxing.NewPlanarYUVLuminanceSource(p.Pix, p.Stride, p.Height, 0, 0, p.Width, p.Height, false)
			if err != nil {
				return nil
			}
			m, err := gozxing.NewBinaryBitmap(gozxing.NewHybridBinarizer(source))
			if err != nil {
				return nil
			}
			if r, err := plain.Decode(m, nil); err == nil {
				return []string{r.GetText()}
			}
			return nil
		}},
	}, errors.Join(err1, err2)
}

// inside is a reader within this process.
type inside struct {
	label string
	texts func(*luma.Plane) []string
}

func (r *inside) name() string { return r.label }

func (r *inside) read(_ string, p *luma.Plane) (took float64, texts []string, err error) {
	began := cpu()
	texts = r.texts(p)
	return cpu() - began, texts, nil
}

func (r *inside) close() {}

// cpu is what this process has used, in microseconds: what its garbage costs counts.
func cpu() float64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) // cannot fail
	return float64(t.Nano()) / float64(time.Microsecond)
}

// A peer is a program that reads (see peer.h).
type peer struct {
	label string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
}

func startPeer(ctx context.Context, label, path string) (*peer, error) {
	p := &peer{label: label, cmd: exec.CommandContext(ctx, path)}
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

func (p *peer) name() string { return p.label }

func (p *peer) read(file string, _ *luma.Plane) (took float64, texts []string, err error) {
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

func (p *peer) close() {
	if p == nil {
		return
	}
	p.in.Close()
	p.cmd.Wait()
}

// ratio returns the median of a picture's time over the other's.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
