package qr

import (
	"os"
	"strconv"
	"testing"

	"gatepost/scanner/qr/scene"
)

// floors are how many frames of each set are read, with seed 0: a lower number is a step back, a higher one belongs here.
var floors = map[string]int{
	"clean":       12,
	"base":        12,
	"px2.0":       12,
	"px2.5":       12,
	"px3":         12,
	"px5":         12,
	"tilt20":      12,
	"tilt35":      12,
	"tilt50":      12,
	"rotany":      16,
	"blur1.0":     12,
	"blur1.4":     12,
	"blur1.8":     12,
	"blur2.2":     10,
	"motion3":     12,
	"motion5":     12,
	"motion7":     8,
	"noise15":     12,
	"noise30":     12,
	"noise45":     12,
	"contrast40":  12,
	"contrast20":  12,
	"contrast12":  12,
	"glare25":     12,
	"glare60":     12,
	"moire.3":     12,
	"moire.5":     3,
	"shade.8":     12,
	"invert":      12,
	"gate640":     49,
	"gate720p":    38,
	"gate720pfar": 15,
	"small640":    12,
	"phone640":    31,
	"phone720":    51,
	"hd640":       33,
	"hd720":       45,
	"card640":     37,
	"card720":     47,
	"print640":    30,
	"print720":    46,
}

// Every n-th frame of each set is tried here, all of them with GATEPOST_EVERY=1, as "make prove-scan" does.
func TestFrames(t *testing.T) {
	every, err := strconv.Atoi(os.Getenv("GATEPOST_EVERY"))
	if err != nil {
		every = 12
	}
	codes, empty := scene.Degradations(0)
	for _, set := range append(codes, scene.Gate(0)...) {
		if every > 1 && set.Width > 640 { // they take long to draw
			continue
		}
		t.Run(set.Name, func(t *testing.T) {
			t.Parallel()
			read, n, r := 0, 0, New()
			for i := 0; i < set.Count; i += every {
				f := set.Frame(i)
				n++
				for _, text := range r.Read(&f.Plane) {
					if text == f.Text {
						read++
					} else {
						t.Errorf("frame %d: wrongly read %q", i, text)
					}
				}
			}
			floor := floors[set.Name]
			if every > 1 {
				floor = max(0, floor*n/set.Count-2) // these may be the harder ones
				if floors[set.Name] == set.Count {
					floor = n
				}
			}
			if t.Logf("%d of %d", read, n); read < floor {
				t.Errorf("%d of %d frames are read, the floor is %d", read, n, floor)
			}
			if r.Panics() > 0 {
				t.Errorf("%d panics", r.Panics())
			}
		})
	}
	for _, set := range empty {
		if every > 1 && set.Width > 640 {
			continue
		}
		t.Run(set.Name, func(t *testing.T) {
			t.Parallel()
			r := New()
			for i := 0; i < set.Count; i += every {
				f := set.Frame(i)
				if got := r.Read(&f.Plane); got != nil {
					t.Errorf("frame %d: found %q where there is no code", i, got)
				}
			}
		})
	}
}
