package memory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A model is what a memory of declarations promises, in the simplest words: by key, what was declared and when.
type model struct {
	declared map[string][]declaration
	forgot   map[string]int // by key, how many of its declarations were made before it was last taken back
}

type declaration struct{ until, at time.Time }

// until returns until when a person is remembered, zero when they are not.
func (m *model) until(keys []string, now time.Time) (longest time.Time) {
	for _, key := range keys {
		for _, d := range m.declared[key][m.forgot[key]:] {
			if now.Before(d.until) && d.until.After(longest) {
				longest = d.until
			}
		}
	}
	return longest
}

// everBy reports whether somebody with one of the keys ever declared until then.
func (m *model) everBy(keys []string, until time.Time) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		return slices.ContainsFunc(m.declared[key], func(d declaration) bool { return d.until.Equal(until) })
	})
}

// Whatever is declared and taken back, by a card or a part of its number, over midnights, restarts and days: with a clock that
// goes forward the memory says what the model says. With one that steps back it remembers nobody for longer than they
// declared, seven days at the most, and never for another.
func TestAsTheModelSays(t *testing.T) {
	for seed := range uint64(6) {
		steps := seed%3 == 2
		t.Run(fmt.Sprintf("seed %d, steps back %v", seed, steps), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			now := noon
			m := open(t, t.TempDir(), now)
			all := &model{declared: map[string][]declaration{}, forgot: map[string]int{}}
			for range 150 {
				now = now.Add(advance(r, now, steps))
				keys := shownBy(r, r.IntN(6))
				switch r.IntN(8) {
				case 0:
					m = again(t, m, now)
				case 1:
					if err := m.Forget(keys, now.Add(MaxAge), now); err != nil {
						t.Fatal(err)
					}
					for _, key := range keys {
						all.forgot[key] = len(all.declared[key])
					}
				case 2, 3, 4:
					until := now.Add(time.Duration(r.IntN(10*24*60)) * time.Minute)
					declare(t, m, keys, until, now)
					if end := now.Add(MaxAge); until.After(end) {
						until = end
					}
					for _, key := range keys {
						if until.After(now) {
							all.declared[key] = append(all.declared[key], declaration{until, now})
						}
					}
				}
				for person := range 6 {
					keys := shownBy(r, person)
					got, want := m.Past(keys, now).Until, all.until(keys, now)
					if !steps && !got.Equal(want) {
						t.Fatalf("at %v %q are remembered until %v, want %v", now, keys, got, want)
					}
					if !got.IsZero() && (!now.Before(got) || !all.everBy(keys, got)) {
						t.Fatalf("at %v %q are remembered until %v, which they never declared", now, keys, got)
					}
				}
			}
		})
	}
}

// advance returns how far the clock goes: a moment, hours, to just before or behind midnight, or, where it steps, back.
func advance(r *rand.Rand, now time.Time, steps bool) time.Duration {
	switch r.IntN(8) {
	case 0:
		return time.Duration(r.IntN(72)) * time.Hour
	case 1:
		midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, hanoi)
		return midnight.Sub(now) + time.Duration(r.IntN(3)-1)*time.Millisecond
	case 2:
		if steps {
			return -time.Duration(r.IntN(30)) * time.Hour
		}
	}
	return time.Duration(1+r.IntN(40*60*1000)) * time.Millisecond
}

// shownBy returns how a person shows themselves: by the whole card, or by what a declaration has of it.
func shownBy(r *rand.Rand, person int) []string {
	id, tail := fmt.Sprintf("id:00109000000%d", person), fmt.Sprintf("tail:NGUYEN VAN A|1990|000%d", person)
	return [][]string{{id}, {tail}, {id, tail}}[r.IntN(3)]
}
