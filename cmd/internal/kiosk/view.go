package kiosk

import (
	"context"
	"hash/crc32"
	"image"
	"slices"
	"sync"
	"time"

	"gatepost/device"
	"gatepost/scanner"
	"gatepost/scanner/luma"
)

// A view is a camera that shows the guard a small picture of what it sees, and tells when that cannot be read: when it is
// frozen, dark, covered or blurred. It is one camera's own; View and the like are for any goroutine.
type view struct {
	scanner.Camera
	looks map[look]time.Time // since when each trouble is seen; nothing where there is none
	sum   uint32             // of the last picture's bytes

	mu    sync.Mutex
	beat  time.Time // when Next last returned
	small *image.Gray
	taken time.Time // when
	worst look
}

// A look is what ails a picture.
type look string

const (
	frozen  look = "hình camera đứng yên · the camera's picture stands still"
	dark    look = "camera quá tối · the camera sees too little light"
	covered look = "camera bị che · the camera is covered"
	blurred look = "camera bị mờ, hãy lau ống kính · the camera is blurred, wipe its lens"
)

const (
	glance     = 200 * time.Millisecond // between two small pictures
	patient    = 8 * time.Second        // a trouble that passes is none: somebody stands before the camera
	smallWidth = 160
)

func newView(cam scanner.Camera) *view { return &view{Camera: cam, looks: map[look]time.Time{}} }

// Next implements scanner.Camera.
func (v *view) Next(ctx context.Context, f *device.Frame) error {
	err := v.Camera.Next(ctx, f)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.beat = time.Now()
	return err
}

// see keeps a small picture of f, whose luma is p, now and then, and notes what ails it.
func (v *view) see(f *device.Frame, p *luma.Plane) {
	v.mu.Lock()
	due := f.At.Sub(v.taken).Abs() >= glance
	v.mu.Unlock()
	if !due {
		return
	}
	sum := crc32.ChecksumIEEE(f.Data)
	now := []look{}
	if sum == v.sum {
		now = append(now, frozen)
	}
	v.sum = sum
	now = append(now, ailing(p)...)
	for _, l := range []look{frozen, dark, covered, blurred} {
		if !slices.Contains(now, l) {
			delete(v.looks, l)
		} else if _, known := v.looks[l]; !known {
			v.looks[l] = f.At
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.small, v.taken, v.worst = shrink(p), f.At, ""
	for _, l := range []look{frozen, dark, covered, blurred} {
		if since, ok := v.looks[l]; ok && f.At.Sub(since) >= patient && v.worst == "" {
			v.worst = l
		}
	}
}

// ailing tells what ails one picture by its brightness, its contrast and its sharpest edges.
func ailing(p *luma.Plane) (all []look) {
	var levels, edges [256]int
	n := 0
	for y := 0; y < p.Height; y += 4 {
		row := p.Pix[y*p.Stride:][:p.Width]
		for x := 0; x+3 < len(row); x++ {
			levels[row[x]]++
			edges[max(row[x], row[x+3])-min(row[x], row[x+3])]++
			n++
		}
	}
	low, high, edge := quantile(levels, n/20), quantile(levels, n-n/20), quantile(edges, n-max(1, n/500))
	switch {
	case high < 30:
		return append(all, dark)
	case high-low < 20 && edge < 20:
		return append(all, covered)
	case high-low > 50 && edge < (high-low)/6:
		return append(all, blurred)
	}
	return nil
}

// quantile returns the level below which so many of the counted ones lie.
func quantile(counts [256]int, below int) int {
	for level, n := range counts {
		if below -= n; below < 0 {
			return level
		}
	}
	return 255
}

// shrink returns a picture of smallWidth pixels, or of as many as there are.
func shrink(p *luma.Plane) *image.Gray {
	w := min(smallWidth, p.Width)
	h := max(1, p.Height*w/p.Width)
	g := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		from := p.Pix[y*p.Height/h*p.Stride:]
		for x := range w {
			g.Pix[y*g.Stride+x] = from[x*p.Width/w]
		}
	}
	return g
}

// View returns the latest small picture, which nobody changes any more, or nil.
func (v *view) View() *image.Gray {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.small
}

// Trouble returns what ails the picture, or "".
func (v *view) Trouble() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return string(v.worst)
}

// Beat returns when the camera last gave anything, a frame or an error.
func (v *view) Beat() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.beat
}

// View returns what the lane's camera sees now, or, for "", the first lane's with a camera; nil where there is none.
func (k *Kiosk) View(lane string) *image.Gray {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.lanes {
		if cam, ok := l.source.(interface{ View() *image.Gray }); ok && (lane == "" || lane == l.Name) {
			return cam.View()
		}
	}
	return nil
}
