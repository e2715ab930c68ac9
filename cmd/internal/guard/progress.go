package guard

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Progress says how many entries wait for the hub and how long that takes at the present pace: "unsent 5,012, about
// 4 s". Nil while nothing waits or left is 0, which is not known.
func Progress(unsent int, left time.Duration) *Text {
	if unsent <= 0 || left <= 0 {
		return nil
	}
	n, vi, en := left.Seconds(), "giây", "s"
	switch {
	case left >= 2*time.Hour:
		n, vi, en = left.Hours(), "giờ", "h"
	case left >= 2*time.Minute:
		n, vi, en = left.Minutes(), "phút", "min"
	}
	n = max(1, math.Round(n))
	return &Text{
		VI: fmt.Sprintf("Chưa gửi %s, khoảng %.0f %s", Grouped(uint64(unsent), "."), n, vi),
		EN: fmt.Sprintf("unsent %s, about %.0f %s", Grouped(uint64(unsent), ","), n, en),
	}
}

// Grouped writes n with a mark before every three digits: 5.012 in Vietnamese, 5,012 in English.
func Grouped(n uint64, mark string) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + mark + s[i:]
	}
	return s
}
