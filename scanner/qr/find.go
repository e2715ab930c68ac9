package qr

import (
	"cmp"
	"math"
	"slices"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// gozxing's finder of many codes looks at every three centres and tries all that fit, which a poster full of finder
// patterns turns into minutes. So the centres are its own, and the choice of triples is this file's, within these bounds.
const (
	maxCentres  = 1000 // beyond this many a frame is a pattern, and its scan ends
	bestCentres = 40   // the ones seen on most rows are combined
	maxTries    = 32   // codes that are sampled and decoded, a binarised frame
)

type (
	centre = *detector.FinderPattern
	triple [3]centre
)

// find returns the codes in a binarised frame. A finder pattern belongs to one code only.
func find(m *gozxing.BitMatrix) []symbol {
	var found []symbol
	used := map[centre]bool{}
	grid := detector.NewDetector(m)
	for _, t := range triples(centres(m)) {
		if used[t[0]] || used[t[1]] || used[t[2]] {
			continue
		}
		bl, tl, tr := gozxing.ResultPoint_OrderBestPatterns(t[0], t[1], t[2])
		sample, err := grid.ProcessFinderPatternInfo(detector.NewFinderPatternInfo(bl.(centre), tl.(centre), tr.(centre)))
		if err != nil {
			continue
		}
		if s, err := decode(sample.GetBits()); err == nil {
			found = append(found, s)
			used[t[0]], used[t[1]], used[t[2]] = true, true, true
		}
	}
	return found
}

// centres returns the middles of what looks like a finder pattern: dark and light runs of 1:1:3:1:1 in three directions.
func centres(m *gozxing.BitMatrix) []centre {
	f := detector.NewFinderPatternFinder(m, nil)
	skip := max(detector.FinderPatternFinder_MIN_SKIP, 3*m.GetHeight()/(4*detector.FinderPatternFinder_MAX_MODULES))
	for y := skip - 1; y < m.GetHeight() && len(f.GetPossibleCenters()) < maxCentres; y += skip {
		scanRow(f, m, y)
	}
	return f.GetPossibleCenters()
}

// scanRow hands every five runs of the right lengths to f; runs[0] is dark, and n is the run that grows.
func scanRow(f *detector.FinderPatternFinder, m *gozxing.BitMatrix, y int) {
	runs, n := make([]int, 5), 0
	for x := range m.GetWidth() {
		switch dark := m.Get(x, y); {
		case dark == (n%2 == 0):
			runs[n]++
		case n == 0 && runs[0] == 0: // light, before anything dark
		case n < 4:
			n++
			runs[n] = 1
		case detector.FinderPatternFinder_foundPatternCross(runs) && f.HandlePossibleCenter(runs, y, x):
			clear(runs)
			n = 0
		default:
			detector.FinderPatternFinder_ShiftCounts2(runs)
			n = 3
		}
	}
	if detector.FinderPatternFinder_foundPatternCross(runs) {
		f.HandlePossibleCenter(runs, y, m.GetWidth())
	}
}

// triples returns the threes that may be the corners of a code, those nearest to a right isosceles triangle first.
func triples(cs []centre) []triple {
	slices.SortStableFunc(cs, func(a, b centre) int { return b.GetCount() - a.GetCount() })
	cs = cs[:min(len(cs), bestCentres)]
	const far = 1.2 // a code seen at 45 degrees stays below
	var fit []triple
	for i, a := range cs {
		for j, b := range cs[:i] {
			for _, c := range cs[:j] {
				if t := (triple{a, b, c}); t.odd() < far {
					fit = append(fit, t)
				}
			}
		}
	}
	slices.SortStableFunc(fit, func(a, b triple) int { return cmp.Compare(a.odd(), b.odd()) })
	return fit[:min(len(fit), maxTries)]
}

// odd tells how far three centres are from the corners of a flat code: 0 not at all, infinitely where none can be.
func (t triple) odd() float64 {
	sizes := []float64{t[0].GetEstimatedModuleSize(), t[1].GetEstimatedModuleSize(), t[2].GetEstimatedModuleSize()}
	sides := []float64{
		gozxing.ResultPoint_Distance(t[0], t[1]),
		gozxing.ResultPoint_Distance(t[1], t[2]),
		gozxing.ResultPoint_Distance(t[0], t[2]),
	}
	slices.Sort(sizes)
	slices.Sort(sides)
	if sizes[2] > 1.6*sizes[0] || sides[1] < 12*sizes[0] || sides[0] > 190*sizes[2] { // codes have 21 to 177 modules
		return math.Inf(1)
	}
	return (sides[1]-sides[0])/sides[0] + math.Abs(sides[2]-math.Hypot(sides[0], sides[1]))/sides[2] + (sizes[2]-sizes[0])/sizes[0]/2
}
