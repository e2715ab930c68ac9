package main

import (
	"os"
	"os/exec"
	"reflect"
	"testing"

	"gatepost/cmd/internal/prove/proof/prooftest"
)

func TestFault(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	prooftest.Prove(t, prooftest.Short(t), fault)
}

const traced = `77 openat(AT_FDCWD</>, "/d/journal/a.db", O_RDWR) = 5</d/journal/a.db>
77 writev(1</d/marks>, [{iov_base="try append-1\n", iov_len=13}], 1) = 13
77 fdatasync(5</d/journal/a.db> <unfinished ...>
78 nanosleep({tv_sec=0, tv_nsec=20000}, NULL) = 0
77 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)
78 fdatasync(5</d/journal/a.db>) = 0
77 fsync(6</elsewhere>) = -1 EIO (Input/output error) (INJECTED)
77 writev(1</d/marks>, [{iov_base="ok append-1 1\n", iov_len=14}], 1) = 14
77 writev(1</d/marks>, [{iov_base="try append-2\n", iov_len=13}], 1) = 13
77 pwrite64(5</d/journal/a.db>, "\1", 4096, 8192) = -1 EIO (Input/output error) (INJECTED)
77 pwrite64(5</d/journal/a.db>, "\2", 4096, 0) = 4096
77 writev(1</d/marks>, [{iov_base="ok append-2 2\n", iov_len=14}], 1) = 14
77 writev(1</d/marks>, [{iov_base="try append-3\n", iov_len=13}], 1) = 13
77 fdatasync(5</d/journal/a.db>) = -1 EIO (Input/output error) (INJECTED)
77 writev(1</d/marks>, [{iov_base="no append-3 \"EIO\"\n", iov_len=18}], 1) = 18
77 writev(1</d/marks>, [{iov_base="try append-3\n", iov_len=13}], 1) = 13
77 writev(1</d/marks>, [{iov_base="ok append-3 3\n", iov_len=14}], 1) = 14
77 +++ exited with 0 +++
`

func TestTrace(t *testing.T) {
	trace := parseTrace(traced, "/d")
	got := trace.vital()
	for i := range got {
		got[i].args = ""
	}
	const file = "journal/a.db"
	want := []call{
		{name: "openat", path: file, number: 1, ok: true},
		{name: "fdatasync", path: file, number: 1, step: "append-1", injected: true},
		{name: "fdatasync", path: file, number: 1, step: "append-1", ok: true}, // of another thread
		{name: "pwrite64", path: file, number: 1, step: "append-2", injected: true},
		{name: "pwrite64", path: file, number: 2, step: "append-2", ok: true},
		{name: "fdatasync", path: file, number: 2, step: "append-3", injected: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := trace.unnoticed(); n != 1 {
		t.Errorf("%d steps overlooked a failure, want 1: append-2", n)
	}
}
