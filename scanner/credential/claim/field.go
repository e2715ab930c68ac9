package claim

import "time"

// Digits reports whether s is one or more ASCII digits.
func Digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// Date reads a calendar date in a layout of package time and returns it as yyyy-mm-dd. ok is false for a day
// that no calendar has, and for a year before 1800 or after 2199, which no card carries.
func Date(layout, s string) (date string, ok bool) {
	t, err := time.Parse(layout, s)
	if err != nil || t.Year() < 1800 || t.Year() > 2199 {
		return "", false
	}
	return t.Format(time.DateOnly), true
}

// Birth reads a date of birth in a layout of package time, or a year alone.
func Birth(layout, s string) (birth string, ok bool) {
	if len(s) == len("2006") {
		_, ok = Date("2006", s)
		return s, ok
	}
	return Date(layout, s)
}
