package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/hd1"
	"gatepost/scanner/form"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

const declareHelp = `usage: gatectl declare -form ID[/VERSION] -key declarer.key -name NAME -year YEAR [-tail 8912 | -qid QID]
                      -answer QUESTION=ANSWER … [-png FILE]

Signs a declaration and prints the text of its code, which begins with HD1:. Every question of the form needs
an answer; "gatectl form check" tells them. With -tail, the last four digits of the card, or -qid the person's
bare code is recognised at the gate afterwards.

What stands on a command line can be seen by everybody on the machine: with -in - (or a file) the flags come
as lines, such as name=NAME, year=1990, answer=travel=no.

`

// A request is what the flags of declare ask for.
type request struct {
	form, key, forms, publisher, png string
	person                           credential.Person
	declaration                      credential.Declaration
	at                               string
	valid                            time.Duration
	answers                          words
}

func declare(_ context.Context, e env, args []string) int {
	var r request
	fs := newFlags("declare", declareHelp)
	fs.StringVar(&r.form, "form", "", "the form, by id or id/version")
	fs.StringVar(&r.key, "key", "", "private key of the declarer")
	fs.StringVar(&r.person.Name, "name", "", "the person's name")
	fs.StringVar(&r.person.Birth, "year", "", "the year of birth")
	fs.StringVar(&r.declaration.Tail, "tail", "", "the last four digits of the card")
	fs.StringVar(&r.person.QID, "qid", "", "the number of the unified personal code")
	fs.StringVar(&r.declaration.Declarer, "declarer", "", "who declares, if another than the person")
	fs.Var(&r.answers, "answer", "question=answer, once for each question")
	fs.StringVar(&r.at, "at", "", "when it is declared, RFC 3339; now when left out")
	fs.DurationVar(&r.valid, "valid", 0, "how long it counts at most; as long as the form is fresh when left out")
	fs.StringVar(&r.png, "png", "", "draw the code into this file too")
	fs.StringVar(&r.forms, "forms", "", "folder with more signed forms")
	fs.StringVar(&r.publisher, "publisher", "", "public key that signed them")
	in := fs.String("in", "", "read more flags from this `FILE`, - for standard input, one FLAG=VALUE a line")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if *in != "" {
		if err := readFlags(e, fs, *in); err != nil {
			return misused(e, fs, err.Error())
		}
	}
	if r.form == "" || r.key == "" || r.person.Name == "" || r.person.Birth == "" || fs.NArg() > 0 {
		return misused(e, fs, "-form, -key, -name and -year are needed, and nothing beside the flags")
	}
	text, err := r.issue()
	if err != nil {
		return fail(e, "declare", err)
	}
	if r.person.QID == "" && r.declaration.Tail == "" {
		fmt.Fprintln(e.err, "gatectl declare: without -tail or -qid the person's card is not recognised later")
	}
	if r.png != "" {
		code, err := picture(text)
		if err == nil {
			err = os.WriteFile(r.png, code, 0o600)
		}
		if err != nil {
			return fail(e, "declare", err)
		}
	}
	fmt.Fprintln(e.out, text)
	return exitOK
}

// maxFlags is the most bytes of flags that are read from a file.
const maxFlags = 64 << 10

// readFlags sets flags from the lines of a file. Its errors name the line and the flag, never the value.
func readFlags(e env, fs *flag.FlagSet, path string) error {
	in := e.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(io.LimitReader(in, maxFlags))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || fs.Lookup(name) == nil || fs.Set(name, value) != nil {
			return fmt.Errorf("-in: line %d does not set a flag of this command", n)
		}
	}
	return lines.Err()
}

func (r *request) issue() (string, error) {
	key, err := keyfile.Private(r.key)
	if err != nil {
		return "", err
	}
	forms, err := loadForms(r.forms, r.publisher)
	if err != nil {
		return "", err
	}
	f, ok := forms.Find(r.form)
	if !ok {
		return "", fmt.Errorf("no form %q", r.form)
	}
	if err := r.fill(f); err != nil {
		return "", err
	}
	return hd1.Issue(key, r.person, r.declaration)
}

// fill completes the declaration on f, or returns every fault of what was asked for.
func (r *request) fill(f form.Form) error {
	var faults []error
	if _, err := strconv.Atoi(r.person.Birth); err != nil || len(r.person.Birth) != 4 {
		faults = append(faults, errors.New("-year needs four digits"))
	}
	answers, err := answersOf(f, r.answers)
	faults = append(faults, err)
	at, err := moment(r.at)
	faults = append(faults, err)
	if r.valid == 0 {
		r.valid = f.Freshness
	}
	if r.valid < time.Second {
		faults = append(faults, errors.New("-valid needs a second or more"))
	}
	d := &r.declaration
	d.Form, d.Version, d.Answers, d.Issued, d.Expires = f.ID, f.Version, answers, at, at.Add(r.valid)
	for _, q := range f.Questions {
		if q.Type == form.Plate { // it travels beside the answers
			d.Plate, _ = answers[q.ID].(string)
			delete(answers, q.ID)
		}
	}
	return errors.Join(faults...)
}

// moment reads -at; an empty one is now. The zone is Vietnam's, where days end for the forms.
func moment(at string) (time.Time, error) {
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		return time.Time{}, err
	}
	if at == "" {
		return time.Now().In(zone), nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return t, fmt.Errorf("-at %q is not a time such as 2026-01-31T07:30:00+07:00", at)
	}
	return t.In(zone), nil
}

// pixels is the width of a drawn code: about 8 a module of a version-10 code and its margin.
const pixels = 8 * 65

// picture returns a text as a code in PNG.
func picture(text string) ([]byte, error) {
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_ERROR_CORRECTION: decoder.ErrorCorrectionLevel_M}
	code, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, pixels, pixels, hints)
	if err != nil {
		return nil, fmt.Errorf("draw code: %w", err)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, code); err != nil {
		return nil, fmt.Errorf("draw code: %w", err)
	}
	return file.Bytes(), nil
}
