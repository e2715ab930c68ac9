package desk

import (
	"fmt"
	"time"
)

// The chart's size in its own units.
const (
	chartWidth, chartHeight = 760, 240
	plotLeft, plotTop       = 48, 22
	plotWidth, plotHeight   = chartWidth - plotLeft - 8, chartHeight - plotTop - 30
)

// A chart is the drawing of Days: a bar a day, people in at the bottom and out upon them.
type chart struct {
	Width, Height, Left, Right int
	Lines                      []gridLine
	Bars                       []bar
}

type gridLine struct {
	Y     int
	Label string
}

type bar struct {
	X, W, Mid     int
	InY, InH      int
	OutY, OutH    int
	Base          int
	Label, Number string
	Title         string
	Today         bool
}

func draw(days []Day) chart {
	c := chart{Width: chartWidth, Height: chartHeight, Left: plotLeft, Right: plotLeft + plotWidth}
	most := 0
	for _, d := range days {
		most = max(most, d.In+d.Out)
	}
	top := roundUp(most)
	scale := func(n int) int { return (n*plotHeight + top/2) / top }
	base := plotTop + plotHeight
	for i := range 3 {
		c.Lines = append(c.Lines, gridLine{base - scale(top*i/2), number(top * i / 2)})
	}
	step := plotWidth / len(days)
	for i, d := range days {
		in, out := scale(d.In), scale(d.Out)
		b := bar{
			X: plotLeft + i*step + step/6, W: step - step/3, Base: base, Mid: plotLeft + i*step + step/2,
			InY: base - in, InH: in, OutY: base - in - out, OutH: out, Today: i == len(days)-1,
			Label: shortDay(d.Day),
			Title: fmt.Sprintf("%s: vào / in %s, ra / out %s", longDay(d.Day), number(d.In), number(d.Out)),
		}
		if d.In+d.Out > 0 {
			b.Number = number(d.In + d.Out)
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

// roundUp returns a round number that n fits under and that can be halved.
func roundUp(n int) int {
	for ten := 1; ; ten *= 10 {
		for _, t := range []int{2, 3, 4, 6, 8, 10} {
			if t *= ten; n <= t && t%2 == 0 {
				return t
			}
		}
	}
}

// number writes n as Vietnamese does: 271.227.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "." + s[i:]
	}
	return s
}

// share writes part of whole as "11,5 %", or a dash when there is no whole.
func share(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	tenths := (part*1000 + whole/2) / whole
	return fmt.Sprintf("%s,%d %%", number(tenths/10), tenths%10)
}

func shortDay(day string) string { return redate(day, "02/01") }
func longDay(day string) string  { return redate(day, "02/01/2006") }

func redate(day, layout string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "–"
	}
	return t.Format(layout)
}

// moment writes a time as dd/mm/yyyy hh:mm:ss; nil is a dash.
func moment(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return t.Format("02/01/2006 15:04:05")
}
