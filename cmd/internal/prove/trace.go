package main

import (
	"regexp"
	"slices"
	"strings"
)

// A call is one system call on a path below the child's folder, or one of its marks.
type call struct {
	name, path string // the path is relative to the child's folder
	number     int    // among the calls of this name on this path by the same thread, from 1
	step       string // of the child, within which it was made
	args       string // without the file's descriptor
	injected   bool   // it failed on purpose
	ok         bool
}

// A trace is what a child did, in order.
type trace []call

var (
	lineOf    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (.*)$`)
	resumed   = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	tryMark   = regexp.MustCompile(`"try (\S+)\\n"`)
	unstarted = " <unfinished ...>"
)

// parseTrace reads the output of strace -f -y.
func parseTrace(text, dir string) (t trace) {
	begun := map[string]string{} // calls that were interrupted by another thread's, by thread
	numbers := map[string]int{}
	step := ""
	path := regexp.MustCompile(`[<"]` + regexp.QuoteMeta(dir) + `/([^>" ]*)[>"]`)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		thread, _, _ := strings.Cut(line, " ")
		if head, ok := strings.CutSuffix(line, unstarted); ok {
			begun[thread] = head
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = begun[thread] + m[2]
		}
		m := lineOf.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		p := path.FindStringSubmatch(m[3])
		if p == nil {
			continue
		}
		_, args, _ := strings.Cut(m[3], ",")
		if mark := tryMark.FindStringSubmatch(args); p[1] == "marks" && mark != nil {
			step = mark[1]
		}
		key := m[1] + " " + m[2] + " " + p[1]
		numbers[key]++
		t = append(t, call{m[2], p[1], numbers[key], step, args, strings.HasSuffix(m[4], "(INJECTED)"), !strings.HasPrefix(m[4], "-1 ")})
	}
	return t
}

// writing are the calls that write, or make durable; reading are others that may fail on a real disk.
var (
	writing = []string{
		"fallocate", "fdatasync", "fsync", "ftruncate", "linkat", "mkdirat", "openat", "pwrite64", "renameat", "renameat2",
		"sync_file_range", "unlinkat", "write",
	}
	reading = []string{"flock", "fstat", "getdents64", "mmap", "newfstatat", "pread64", "read"}
)

func writes(name string) bool { return slices.Contains(writing, name) }

// vital returns the calls on the journal's paths that may be made to fail.
func (t trace) vital() (all []call) {
	for _, c := range t {
		if strings.HasPrefix(c.path, "journal") && (writes(c.name) || slices.Contains(reading, c.name)) {
			all = append(all, c)
		}
	}
	return all
}

// A place is where in a child's work a call is made.
type place struct{ call, path, step string }

// place leaves out the step where a file is prepared beside all steps.
func (c call) place() place {
	if strings.HasPrefix(c.path, "journal/spare") {
		return place{c.name, c.path, ""}
	}
	return place{c.name, c.path, c.step}
}

// unnoticed counts the steps that succeeded although a write to one of the journal's files, or its flush, failed within
// them and was not made again. What fails about a file that is only being prepared need not be noticed.
func (t trace) unnoticed() (n int) {
	failed := map[string]bool{}
	for _, c := range t {
		key := c.name + c.path + c.args
		switch {
		case c.injected && (c.name == "pwrite64" || c.name == "fdatasync") && strings.HasSuffix(c.path, ".db"):
			failed[key] = true
		case c.ok && failed[key]:
			delete(failed, key)
		case c.path == "marks":
			if strings.Contains(c.args, `"ok `) && len(failed) > 0 {
				n++
			}
			clear(failed)
		}
	}
	return n
}
