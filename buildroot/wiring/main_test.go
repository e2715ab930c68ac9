package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The picture in the guide is that of its table; make pictures draws it anew.
func TestPicture(t *testing.T) {
	guide, err := os.ReadFile("../../docs/TECHNICIAN.md")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := os.ReadFile("../../docs/wiring.svg")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := draw(guide); err != nil || !bytes.Equal(picture, want) {
		t.Errorf("docs/wiring.svg is not what the table says: %v", err)
	}
}

func TestWrongTables(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "no table",
		"| lamp | 41 | GPIO17 | x |":           "no pin 41",
		"| lamp | 11 | GPIO18 | x |":           "pin 11 is GPIO17, not GPIO18",
		"| a | 9 | GND | |\n| b | 9 | GND | |": `pin 9 is "a" and "b"`,
	} {
		if _, err := draw([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
