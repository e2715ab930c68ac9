package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"gatectl": main})
}

// tests are all tests, and what they have started ends behind them.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	defer endPostgres()
	return t.m.Run()
}

// Every command is tested by scripts: testdata/script/*.txtar. With UPDATE=1 they rewrite what they compare.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
	})
}
