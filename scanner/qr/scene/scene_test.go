package scene

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"runtime"
	"slices"
	"testing"
)

func find(t *testing.T, sets []Set, name string) Set {
	t.Helper()
	i := slices.IndexFunc(sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no set %q", name)
	}
	return sets[i]
}

// Frames stay the same: what somebody says of them, others can try. Other processors round some pixels otherwise.
func TestFramesStay(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the sums are of amd64")
	}
	codes, empty := Degradations(0)
	for _, c := range []struct {
		set  Set
		want string
	}{
		{find(t, codes, "gate640"), "a98aac02fc93fca5"},
		{find(t, Gate(0), "print640"), "c5bb6b5d5cf0a1ed"},
		{find(t, empty, "poster640"), "32933047ae1417b5"},
	} {
		sum := sha256.Sum256(c.set.Frame(1).Plane.Pix)
		if got := hex.EncodeToString(sum[:8]); got != c.want {
			t.Errorf("%s: frame 1 is %s, want %s", c.set.Name, got, c.want)
		}
	}
}

// The view that comes with a frame says where its modules are: dark ones are darker than light ones there.
func TestView(t *testing.T) {
	codes, _ := Degradations(3)
	for _, name := range []string{"clean", "tilt35", "rotany"} {
		f := find(t, codes, name).Frame(0)
		n := float64(f.Modules)
		at := func(u, v float64) float64 {
			x, y := apply(f.View, u, v)
			return float64(f.Plane.Pix[int(math.Floor(y))*f.Plane.Stride+int(math.Floor(x))])
		}
		for _, c := range [][2]float64{{3.5, 3.5}, {n - 3.5, 3.5}, {3.5, n - 3.5}} {
			if middle, ring := at(c[0], c[1]), at(c[0]+2, c[1]); middle > 70 || ring < 150 {
				t.Errorf("%s: the finder at %v has %v in the middle and %v around", name, c, middle, ring)
			}
		}
	}
}

// Each set's frames are its own, and another seed's are others.
func TestSeeds(t *testing.T) {
	a, _ := Degradations(0)
	b, _ := Degradations(1)
	one, two, other := a[0].Frame(0), a[0].Frame(1), b[0].Frame(0)
	if one.Text == two.Text || one.Text == other.Text || one.Text != a[0].Frame(0).Text {
		t.Error("frames repeat, or do not")
	}
	total := 0
	for _, s := range a {
		total += s.Count
	}
	if total != 488 {
		t.Errorf("%d frames", total)
	}
}
