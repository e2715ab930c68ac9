// Passages reads what "gatectl pull -key" wrote and prints verdict, reason and name of each passage, a line each.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"gatepost/storage/entry"
)

func main() {
	for in := json.NewDecoder(os.Stdin); ; {
		var line struct {
			Kind, Verdict string
			Personal      *entry.Personal
		}
		switch err := in.Decode(&line); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, "passages:", err)
			os.Exit(1)
		}
		if line.Kind != "passage" {
			continue
		}
		name, reason := "-", entry.Reason("-")
		if p := line.Personal; p != nil {
			reason = p.Reason
			if p.Name != "" {
				name = p.Name
			}
		}
		fmt.Println(line.Verdict, reason, name)
	}
}
