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

// Day returns the day that a date or a time begins with, "2021-10-05" or "2021-10-05T10:00:00Z", or "".
func Day(s string) string {
	d, _ := Date(time.DateOnly, s[:min(len(s), len(time.DateOnly))])
	return d
}

// SignedBirth reads the date of birth of an authority's certificate, which may have a time behind it. Of one without its day
// the year is left.
func SignedBirth(s string) string {
	if day := Day(s); day != "" {
		return day
	}
	year, _ := Date("2006", s[:min(4, len(s))])
	return year[:min(4, len(year))]
}

// Birth reads a date of birth in a layout of package time, or a year alone.
func Birth(layout, s string) (birth string, ok bool) {
	if len(s) == len("2006") {
		_, ok = Date("2006", s)
		return s, ok
	}
	return Date(layout, s)
}
