package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"

	"gatepost/cmd/internal/process"
	"gatepost/sync/pull"
)

// A puller is a real gatectl pull that follows a hub and writes to a file, as somebody runs it who keeps the lines. It may be
// killed at any time, and goes on behind the last line that the file then has.
type puller struct {
	program string   // gatectl
	flags   []string // as of site.pullFlags
	file    string   // the lines
	process *process.Process
}

// start lets it go on behind the cursor after.
func (p *puller) start(after string) error {
	words := append([]string{"pull", "-follow"}, p.flags...)
	if after != "" {
		words = append(words, "-after", after)
	}
	p.process = process.New(p.program, filepath.Dir(p.file), filepath.Base(p.file), words...)
	p.process.Out = p.file
	return p.process.Start()
}

// crash kills it and its machine: of the lines that nobody flushed only some are left, the last of them perhaps in part. It
// starts again behind the last whole one.
func (p *puller) crash(random *rand.Rand) error {
	p.process.Kill()
	text, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	text = text[:len(text)-random.IntN(min(len(text), 20_000)+1)]
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	if err := os.WriteFile(p.file, text, 0o600); err != nil {
		return err
	}
	lines, err := readLines(text)
	if err != nil {
		return err
	}
	after := ""
	if len(lines) > 0 {
		after = lines[len(lines)-1].Cursor
	}
	return p.start(after)
}

// lines returns the whole lines of the file.
func (p *puller) lines() ([]pull.Line, error) {
	text, err := os.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	return readLines(text[:bytes.LastIndexByte(text, '\n')+1])
}

// await waits until the file has every entry of the chains.
func (p *puller) await(ctx context.Context, chains map[string]chain) error {
	var lost int
	var err error
	late := until(ctx, seeTime, "the last line", func() bool {
		lost, err = p.missing(chains)
		return err != nil || lost == 0
	})
	if err == nil && late != nil {
		err = fmt.Errorf("%d lines are missing: %w", lost, late)
	}
	return err
}

// missing returns how many entries of the chains the file does not have, or an error when it ended by itself.
func (p *puller) missing(chains map[string]chain) (int, error) {
	if !p.process.Running() {
		return 0, fmt.Errorf("gatectl pull ended\n%s", tail(p.process.Log))
	}
	lines, err := p.lines()
	if err != nil {
		return 0, err
	}
	n, _ := compare(chains, lines)
	return n, nil
}

var beginsAnew = regexp.MustCompile(`the log begins anew at (\S+)`)

// restart returns the cursor at which the log begins anew, behind the end of a puller whose log is gone.
func (p *puller) restart() (string, error) {
	words, err := os.ReadFile(p.process.Log)
	if err != nil {
		return "", err
	}
	m := beginsAnew.FindSubmatch(words)
	if m == nil {
		return "", fmt.Errorf("gatectl pull was not told where the log begins: %s", words)
	}
	return string(m[1]), nil
}
