package guard

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		unsent int
		left   time.Duration
		vi, en string
	}{
		{5012, 4 * time.Second, "Chưa gửi 5.012, khoảng 4 giây", "unsent 5,012, about 4 s"},
		{7, time.Millisecond, "Chưa gửi 7, khoảng 1 giây", "unsent 7, about 1 s"},
		{999, 119 * time.Second, "Chưa gửi 999, khoảng 119 giây", "unsent 999, about 119 s"},
		{271227, 150 * time.Second, "Chưa gửi 271.227, khoảng 3 phút", "unsent 271,227, about 3 min"},
		{1234567, 5 * time.Hour, "Chưa gửi 1.234.567, khoảng 5 giờ", "unsent 1,234,567, about 5 h"},
	} {
		if got := Progress(c.unsent, c.left); got == nil || got.VI != c.vi || got.EN != c.en {
			t.Errorf("%d in %v: %+v", c.unsent, c.left, got)
		}
	}
	for _, unknown := range []*Text{Progress(5012, 0), Progress(0, time.Second), Progress(5012, -time.Second)} {
		if unknown != nil {
			t.Errorf("%+v, though nothing is known", unknown)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1.000", 5012: "5.012", 1234567: "1.234.567"} {
		if got := Grouped(n, "."); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
