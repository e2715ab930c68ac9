package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// Hubs of one cluster agree on who came first, whichever was asked, and each hears of all in that order.
func TestRegister(t *testing.T) {
	t.Parallel()
	c := cluster(t, 3)
	var registers []*Register
	for range 2 {
		r, err := c.join().Register(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		registers = append(registers, r)
	}
	values := []string{"a", "b"}
	for _, name := range []string{"one", "two", "three"} {
		won := make([]string, 2)
		var g sync.WaitGroup
		for i, r := range registers {
			g.Go(func() {
				until(t, "an answer", func() bool { // a server may lag behind
					first, err := r.First(t.Context(), name, []byte(name+values[i]))
					won[i] = string(first)
					return err == nil
				})
			})
		}
		g.Wait()
		if won[0] != won[1] || won[0] != name+"a" && won[0] != name+"b" {
			t.Errorf("%s went to %q", name, won)
		}
	}
	for _, r := range registers {
		ctx, end := context.WithCancel(t.Context())
		var heard []string
		err := r.Follow(ctx, func(value []byte) error {
			if heard = append(heard, string(value[:len(value)-1])); len(heard) == 3 {
				end()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || !slices.Equal(heard, []string{"one", "two", "three"}) {
			t.Errorf("heard %q, %v", heard, err)
		}
		full := errors.New("disk is full")
		if err := r.Follow(t.Context(), func([]byte) error { return full }); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
	}
}

func TestNoRegisterAlone(t *testing.T) {
	if r, err := open(t, t.TempDir()).Register(t.Context()); r != nil || err != nil {
		t.Errorf("%v, %v", r, err)
	}
}
