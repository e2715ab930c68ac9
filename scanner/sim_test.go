package scanner_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/device/sim"
	"gatepost/scanner"
)

// visits returns what people show: names and addresses of many lengths, base45, digits, and every fourth time two at once.
func visits(n int) [][]string {
	r := rand.New(rand.NewPCG(7, 7))
	word := []string{"Nguyễn", "Trần", "Phạm", "Đặng", "Thị", "Văn", "Bích", "Hường", "Quang", "Khải", "Thôn Đông", "Mê Linh"}
	text := func(i int) string {
		s := fmt.Sprintf("%012d|", r.Uint64N(1e12))
		switch i % 3 {
		case 0: // up to 350 bytes of UTF-8
			for size := 20 + r.IntN(310); len(s) < size; {
				s += word[r.IntN(len(word))] + " "
			}
		case 1: // up to 400 characters of base45
			s = "HD1:"
			for size := 100 + r.IntN(301); len(s) < size; {
				s += string("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"[r.IntN(45)])
			}
		}
		return s
	}
	all := make([][]string, n)
	for i := range all {
		all[i] = []string{text(i)}
		if i%4 == 3 {
			all[i] = append(all[i], text(i+1))
		}
	}
	all[0] = []string{strings.Repeat("Nguyễn Văn A, ", 21)[:350]}
	all[1] = []string{"HD1:" + strings.Repeat("6BF+70790", 44), "HD1:" + strings.Repeat("T9WJWG.FKY*4GO0", 26)}
	return all
}

// Whoever stands before the simulated camera is seen once, whole, and two people are seen in one frame.
func TestEveryVisitIsSeenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := sim.New(sim.Options{FPS: 5})
		defer cam.Close()
		s := scanner.New(cam, nil)
		for _, texts := range visits(16) {
			if err := cam.Show(texts, 400*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range visits(16) {
			got, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got.Texts)
			slices.Sort(want)
			if !slices.Equal(got.Texts, want) {
				t.Fatalf("seen %q, shown %q", got.Texts, want)
			}
		}
	})
}

// The same person twice is two visits.
func TestSameVisitorTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cam := sim.New(sim.Options{})
		defer cam.Close()
		s := scanner.New(cam, nil)
		for range 2 {
			if err := cam.Show([]string{"HD1:A"}, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		first, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Next(t.Context())
		if err != nil || second.At.Sub(first.At) < time.Second {
			t.Errorf("seen again after %v, %v", second.At.Sub(first.At), err)
		}
	})
}
