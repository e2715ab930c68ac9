package main

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatepost/sync/wire"
)

//go:embed sheet.html
var sheetText string

// A sheet is what sheet.html shows.
type sheet struct {
	wire.Enrolment
	Codes []sheetCode
}

type sheetCode struct {
	Number  int
	Picture template.URL
}

// writeSheet writes the codes of an enrolment into the new folder dir, for its owner's eyes alone.
func writeSheet(dir string, raw []byte, e wire.Enrolment) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("folder %s is there already, and codes of two enrolments must not lie together: choose another", dir)
	} else if err != nil {
		return err
	}
	files, page, parts := map[string][]byte{}, sheet{Enrolment: e}, wire.EnrolmentParts(raw)
	for i, text := range parts {
		png, err := picture(text)
		if err != nil {
			return err
		}
		files[fmt.Sprintf("part-%02d.png", i+1)] = png
		page.Codes = append(page.Codes, sheetCode{i + 1, template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))})
	}
	t, err := template.New("sheet").Parse(sheetText)
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := t.Execute(&html, page); err != nil {
		return err
	}
	files["sheet.html"], files["parts.txt"] = html.Bytes(), []byte(strings.Join(parts, "\n")+"\n")
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
