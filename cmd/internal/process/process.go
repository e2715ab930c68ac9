// Package process runs a program of ours again and again under one name, as the demo and the proofs need it: started,
// stopped in order, killed, or with a disk that is full.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a program may take to end after SIGTERM.
const patience = 10 * time.Second

// A Process is a program, started again and again, its output in one log file.
type Process struct {
	Log  string // the file
	Out  string // another one for its standard output, empty: Log
	path string
	args []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// New returns the program at path, not started yet, whose output goes to NAME.log in dir.
func New(path, dir, name string, args ...string) *Process {
	return &Process{path: path, Log: filepath.Join(dir, name+".log"), args: args}
}

// Start starts the program, unless it runs.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return nil
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if p.Out != "" {
		out, err := os.OpenFile(p.Out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	// In a group of its own, so that Ctrl-C is for the demo, which ends the programs in order; and with the
	// demo's thread dies the program, so that a demo that is killed leaves nothing behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // Pdeathsig looks at the thread that started the program
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(p.path), err)
	}
	p.cmd, p.exited = cmd, exited
	return nil
}

// Started reports whether the program was ever started.
func (p *Process) Started() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// Running reports whether the program runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs()
}

// runs needs mu.
func (p *Process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Kill ends the program at once, as a power cut of its process would.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the program to end, and insists after a while.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return
	}
	p.cmd.Process.Signal(s)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// Fill makes every write of the program to a file fail as on a full disk (EFBIG), or lets it write again.
func (p *Process) Fill(full bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return fmt.Errorf("%s does not run", filepath.Base(p.path))
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if full {
		limit.Cur = 0
	}
	return unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
}
