package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxTable is the most bytes of a table.
const maxTable = 16 << 20

// A tableRow is one row below a table's first, which names the columns.
type tableRow struct {
	line    int
	columns map[string]string // what stands in them, by name in small letters, without spaces around
}

// readTable reads a table of comma-separated values as spreadsheets write it: with a byte order mark, and with semicolons where
// the comma is the decimal one. Its errors name the line, and nothing that stands in it.
func readTable(path string) (rows []tableRow, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTable+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTable {
		return nil, fmt.Errorf("%s: exceeds %d bytes", path, maxTable)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	table := csv.NewReader(bytes.NewReader(text))
	if first, _, _ := bytes.Cut(text, []byte("\n")); bytes.Contains(first, []byte(";")) {
		table.Comma = ';'
	}
	var head []string
	for {
		fields, err := table.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if head == nil {
			head = fields
			continue
		}
		line, _ := table.FieldPos(0)
		row := tableRow{line, map[string]string{}}
		for i, name := range head {
			row.columns[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(fields[i])
		}
		rows = append(rows, row)
	}
}
