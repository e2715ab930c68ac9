package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
)

const (
	maxChild  = 2 * time.Minute // one child under strace, on a machine that is very busy
	maxBroken = 5               // faults that a child did not survive; then the rest need not be tried
)

// A failing is one fault to inject: the calls on a path with these numbers fail. They are counted by thread, so that
// more than one may, and are not really made then.
type failing struct {
	call  // the one to be hit
	to    int
	errno string
}

func (f failing) String() string {
	return fmt.Sprintf("%s at %s number %d to %d of %s", f.errno, f.name, f.number, f.to, f.path)
}

// How many calls in a row a fault lets fail that lasts; and one of reading that passes, which must cost nothing.
const (
	lasting = 12
	passing = 2
)

// fault learns which calls a journal makes on its files, and lets each of them fail, each in a child of its own.
func fault(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	f, err := newFaulter(ctx, p)
	if err != nil {
		return t, err
	}
	defer f.close()
	calls, err := f.learn(ctx)
	if err != nil {
		return t, err
	}
	if err := f.control(ctx, calls); err != nil {
		return t, err
	}
	plan := list(calls)
	if p.N == 0 {
		plan = sample(plan, p.Random(2))
	}
	var broken []error
	dead := map[call]bool{} // calls whose failing some child did not survive: one is enough
	for i, x := range plan {
		if dead[call{name: x.name, path: x.path}] {
			continue
		}
		got, err := f.hit(ctx, x)
		t.Add(got)
		if err != nil {
			broken, dead[call{name: x.name, path: x.path}] = append(broken, fmt.Errorf("%v: %w", x, err)), true
		}
		if ctx.Err() != nil || len(broken) == maxBroken {
			break
		}
		if !got.Holds() {
			p.Say("✗ %v: lost %d, doubled %d, unnoticed %d", x, got.Lost, got.Doubled, got.Unnoticed)
		}
		if (i+1)%100 == 0 {
			p.Say("%d of %d faults", i+1, len(plan))
		}
	}
	if len(broken) > 0 {
		return t, errors.Join(broken...)
	}
	return t, f.coverage(calls, len(plan))
}

// list makes the faults out of the calls: each of them and each error that it can have, and for each
// file a fault that lasts.
func list(calls []call) (plan []failing) {
	seen := map[failing]bool{}
	for _, c := range calls {
		c = call{name: c.name, path: c.path, number: c.number}
		errnos := []string{"EIO"}
		if writes(c.name) {
			errnos = []string{"EIO", "ENOSPC", "EROFS"}
		}
		for _, errno := range errnos {
			x := failing{c, c.number, errno}
			if seen[x] { // another thread's
				continue
			}
			seen[x] = true
			plan = append(plan, x)
			switch {
			case c.number == 1 && writes(c.name):
				plan = append(plan, failing{c, lasting, errno})
			case c.number == 1 && c.name == "pread64":
				plan = append(plan, failing{c, passing, errno})
			}
		}
	}
	return plan
}

// sample returns one failing of each call.
func sample(plan []failing, r *rand.Rand) (some []failing) {
	r.Shuffle(len(plan), func(i, k int) { plan[i], plan[k] = plan[k], plan[i] })
	for _, x := range plan {
		if !slices.ContainsFunc(some, func(s failing) bool { return s.name == x.name }) {
			some = append(some, x)
		}
	}
	return some
}

// A faulter runs children under strace.
type faulter struct {
	p             *proof.Run
	strace, prove string
	work          string        // a folder for all of this
	dir           string        // of the child that runs
	met           map[place]int // where calls were made to fail, and how many
}

func newFaulter(ctx context.Context, p *proof.Run) (*faulter, error) {
	strace, err := tool(ctx, p, "strace", "strace")
	if err != nil {
		return nil, err
	}
	prove, err := p.Program(ctx, "internal/prove")
	if err != nil {
		return nil, err
	}
	// In memory where that can be had: what is tried here are the journal's answers, not a disk.
	work, err := os.MkdirTemp("/dev/shm", "gatepost-prove-")
	if err != nil {
		work, err = os.MkdirTemp(p.Work, "fault-")
	}
	if err != nil {
		return nil, err
	}
	f := &faulter{p: p, strace: strace, prove: prove, work: work, met: map[place]int{}}
	work, err = filepath.EvalSymlinks(work) // strace knows files by their true paths
	f.dir = filepath.Join(work, "child")
	return f, err
}

func (f *faulter) close() { os.RemoveAll(f.work) }

// learn returns the calls that a child makes on the journal's files without any fault.
func (f *faulter) learn(ctx context.Context) ([]call, error) {
	t, err := f.run(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("without any fault: %w", err)
	}
	got, err := f.judge(t)
	if err == nil && !got.Holds() {
		err = fmt.Errorf("lost %d, doubled %d, unnoticed %d", got.Lost, got.Doubled, got.Unnoticed)
	}
	if err != nil {
		return nil, fmt.Errorf("without any fault: %w", err)
	}
	calls := t.vital()
	if len(calls) == 0 {
		return nil, errors.New("no call on the journal's files was seen")
	}
	return calls, nil
}

// control lets calls of appends fail in children that take refusals for acknowledgements: they must be caught.
func (f *faulter) control(ctx context.Context, calls []call) error {
	for _, c := range calls {
		if c.name != "fdatasync" || c.step != fmt.Sprintf("append-%d", kept) && c.step != fmt.Sprintf("append-%d", kept+3) {
			continue
		}
		got, _, err := f.try(ctx, failing{c, c.number, "EIO"}, childLies)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && got.Lost > 0 && got.Unnoticed > 0 {
			f.p.Say("control: a child that takes refusals for acknowledgements is caught")
			return nil
		}
	}
	return errors.New("control: a child that takes refusals for acknowledgements was not caught")
}

// hit runs a child with a fault and judges it. A fault that met no call, because the calls were spread otherwise over
// the threads, is tried again with a lower number.
func (f *faulter) hit(ctx context.Context, x failing) (sum proof.Tally, err error) {
	for {
		got, n, err := f.try(ctx, x, "")
		sum.Add(got)
		if n > 0 || err != nil || x.number == 1 {
			return sum, err
		}
		x.number /= 2
	}
}

// try runs a child with a fault and judges it; n is how many calls failed.
func (f *faulter) try(ctx context.Context, x failing, how string) (got proof.Tally, n int, err error) {
	t, err := f.run(ctx, how,
		"-P", filepath.Join(f.dir, x.path), "-P", filepath.Join(f.dir, "marks"), "-e", "trace=writev,"+x.name,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%d..%d", x.name, x.errno, x.number, x.to))
	if err != nil {
		return got, 0, err
	}
	for _, c := range t {
		if c.injected {
			f.met[c.place()]++
			n++
		}
	}
	got, err = f.judge(t)
	return got, n, err
}

// coverage tells where calls failed, of all the places where they are made. The full form must meet four fifths.
func (f *faulter) coverage(calls []call, faults int) error {
	all, missed, names := map[place]bool{}, map[place]bool{}, map[string]int{}
	for _, c := range calls {
		names[c.name] += 0
		all[c.place()] = true
		if f.met[c.place()] == 0 {
			missed[c.place()] = true
		}
	}
	for at, n := range f.met {
		names[at.call] += n
	}
	f.p.Say("%d faults, at %d of %d places; failed calls: %v", faults, len(all)-len(missed), len(all), names)
	for name, n := range names {
		if n == 0 {
			return fmt.Errorf("no %s was made to fail", name)
		}
	}
	if f.p.N > 0 && 5*len(missed) > len(all) {
		return fmt.Errorf("no call was made to fail at %v", missed)
	}
	return nil
}

// run runs a child to its end in a new folder and returns what strace saw of it.
func (f *faulter) run(ctx context.Context, how string, flags ...string) (trace, error) {
	if err := errors.Join(os.RemoveAll(f.dir), os.MkdirAll(f.dir, 0o700)); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, maxChild)
	defer stop()
	marks, err := os.Create(filepath.Join(f.dir, "marks"))
	if err != nil {
		return nil, err
	}
	defer marks.Close()
	log := filepath.Join(f.dir, "trace")
	cmd := exec.CommandContext(ctx, f.strace, append(append([]string{"-f", "-y", "--seccomp-bpf", "-s", "300", "-o", log}, flags...), f.prove)...)
	// One thread does it all, as far as possible, so that calls can be counted: strace counts by thread.
	cmd.Env = append(os.Environ(), childVar+"="+how+f.dir, "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	cmd.Dir = "/"
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = marks, &errs
	proof.OwnGroup(cmd)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the child: %w: %s", err, errs.Bytes()[:min(errs.Len(), 3000)])
	}
	text, err := os.ReadFile(log)
	return parseTrace(string(text), f.dir), err
}

// judge compares what the child was told with what its journal holds.
func (f *faulter) judge(t trace) (got proof.Tally, err error) {
	got.Unnoticed = t.unnoticed()
	r, all, err := read(filepath.Join(f.dir, "journal"), filepath.Join(f.work, "copy"), childHub.Public().(ed25519.PublicKey))
	if err != nil {
		return got, err
	}
	found := map[string][]uint64{}
	for _, e := range all {
		if p, err := entry.Decode[entry.Passage](e.Entry); err == nil {
			found[p.Lane] = append(found[p.Lane], e.Seq)
		}
	}
	marks, err := os.ReadFile(filepath.Join(f.dir, "marks"))
	if err != nil {
		return got, err
	}
	for line := range strings.Lines(string(marks)) {
		var name string
		var seq uint64
		if n, _ := fmt.Sscanf(line, "ok %s %d", &name, &seq); n != 2 {
			continue
		}
		switch at := found[name]; {
		case name == "receipt" && r.Receipted < seq:
			got.Lost++
		case !strings.HasPrefix(name, "append-"):
		case len(at) > 1:
			got.Doubled++
		case seq < r.First && seq < kept && len(at) == 0: // deleted, as it was told to
		case !slices.Contains(at, seq):
			got.Lost++
		}
	}
	return got, nil
}
