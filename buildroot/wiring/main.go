// Wiring draws the picture of a Pi's header from the table in the technician's guide, so that the two never differ.
//
//	go run ./buildroot/wiring docs/TECHNICIAN.md docs/wiring.svg
package main

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"regexp"
	"strconv"
)

// header is what the 40 pins of every Pi since the B+ carry, from 1. Source: the Raspberry Pi hardware documentation, "GPIO and the
// 40-pin header".
var header = [40]string{
	"3V3", "5V", "GPIO2", "5V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15",
	"GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3V3", "GPIO24", "GPIO10", "GND",
	"GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "GPIO0", "GPIO1", "GPIO5", "GND",
	"GPIO6", "GPIO12", "GPIO13", "GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21",
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: wiring GUIDE.md PICTURE.svg")
		os.Exit(2)
	}
	guide, err := os.ReadFile(os.Args[1])
	var picture []byte
	if err == nil {
		picture, err = draw(guide)
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], picture, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wiring:", err)
		os.Exit(1)
	}
}

// row is a line of the guide's table: part, pin, what the pin carries.
var row = regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+) \| (3V3|5V|GND|GPIO\d+)\b[^|]* \|`)

// draw returns an SVG of the header, seen from above, pin 1 at the top left.
func draw(guide []byte) ([]byte, error) {
	parts := map[int]string{}
	for _, m := range row.FindAllSubmatch(guide, -1) {
		pin, err := strconv.Atoi(string(m[2]))
		switch {
		case err != nil || pin < 1 || pin > len(header):
			return nil, fmt.Errorf("%s: there is no pin %s", m[1], m[2])
		case header[pin-1] != string(m[3]):
			return nil, fmt.Errorf("%s: pin %d is %s, not %s", m[1], pin, header[pin-1], m[3])
		case parts[pin] != "":
			return nil, fmt.Errorf("pin %d is %q and %q", pin, parts[pin], m[1])
		}
		parts[pin] = string(m[1])
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("the guide has no table of pins")
	}
	var b bytes.Buffer
	fmt.Fprint(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 500" width="640" height="500" font-family="DejaVu Sans, sans-serif" font-size="13">
<rect width="640" height="500" fill="#fff"/><rect x="284" y="12" width="72" height="476" rx="6" fill="#222"/>
`)
	for i, carries := range header {
		pin, y := i+1, 32+i/2*23
		x, edge, end, anchor, name := 304, 284, 190, "end", 276
		if pin%2 == 0 {
			x, edge, end, anchor, name = 336, 356, 450, "start", 364
		}
		colour := map[string]string{"3V3": "#e69f00", "5V": "#d55e00", "GND": "#888"}[carries]
		if colour == "" {
			colour = "#56b4e9"
		}
		part := parts[pin]
		if part == "" {
			colour = "#555"
		} else {
			gap := 70
			if pin%2 == 1 {
				gap = -gap
			}
			fmt.Fprintf(&b, `<path d="M%d %d H%d" stroke="%s" stroke-width="3"/>`, edge+gap, y, end, colour)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s" font-weight="bold">%s</text>`, end+(end-edge-gap)/8, y+5, anchor, html.EscapeString(part))
		}
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="9" fill="%s"/><text x="%d" y="%d" text-anchor="middle" font-size="9" fill="%s">%d</text>`,
			x, y, colour, x, y+3, map[bool]string{true: "#fff", false: "#000"}[part == ""], pin)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s" fill="#444">%s</text>`+"\n", name, y+5, anchor, carries)
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}
