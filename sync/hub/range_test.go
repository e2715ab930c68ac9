package hub

import (
	"errors"
	"reflect"
	"testing"
)

// However many are asked for at once, the records are those that First finds one by one.
func TestRange(t *testing.T) {
	h, raws := crowd(t, 20)
	e := engineOf(h)
	if _, err := e.Range(t.Context(), 1, 5); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty log: %v", err)
	}
	for _, raw := range raws {
		if _, err := h.Put(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	var want []Message
	for place := uint64(1); place <= 20; place++ {
		m, err := e.First(t.Context(), place, anySubject)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, m)
	}
	for _, c := range []struct {
		place uint64
		max   int
		want  []Message
	}{{1, 20, want}, {1, 1, want[:1]}, {1, 500, want}, {7, 5, want[6:11]}, {20, 5, want[19:]}} {
		got, err := e.Range(t.Context(), c.place, c.max)
		if err != nil || len(got) != len(c.want) {
			t.Fatalf("%d from %d on: %d, %v", c.max, c.place, len(got), err)
		}
		for i, m := range got {
			if w := c.want[i]; m.Place != w.Place || m.Subject != w.Subject || !m.At.Equal(w.At) || !reflect.DeepEqual(m.Data, w.Data) {
				t.Errorf("message %d from %d on: %+v, want %+v", i, c.place, m, w)
			}
		}
	}
	if _, err := e.Range(t.Context(), 21, 5); !errors.Is(err, ErrEmpty) {
		t.Errorf("behind the end: %v", err)
	}
}
