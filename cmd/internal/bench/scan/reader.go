package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"gatepost/cmd/internal/bench/peer"
	"gatepost/scanner/luma"
	"gatepost/scanner/qr"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
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
	zxing, err1 := peer.Start(ctx, "zxing-cpp", filepath.Join(dir, "bench-zxing"))
	zbar, err2 := peer.Start(ctx, "ZBar", filepath.Join(dir, "bench-zbar"))
	return []reader{
		&inside{"Gatepost", ours.Read},
		outside{zxing},
		outside{zbar},
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
	began := peer.CPU()
	texts = r.texts(p)
	return peer.CPU() - began, texts, nil
}

func (r *inside) close() {}

// outside is a reader that is a program.
type outside struct{ *peer.Peer }

func (r outside) name() string { return r.Label }

func (r outside) read(file string, _ *luma.Plane) (took float64, texts []string, err error) {
	return r.Read(file)
}

func (r outside) close() { r.Close() }

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
