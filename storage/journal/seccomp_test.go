package journal

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncs counts this process's calls of fdatasync, and of fsync, and fails those that are chosen, by the kernel's seccomp
// with a listener: no seam in the code under test, and it holds for calls inside bbolt.
type syncs struct {
	data, full calls // of fdatasync, of fsync
	fd         int
}

type calls struct {
	n    atomic.Int32
	fail atomic.Int32 // the number of the call that fails with EIO, 0 = none, -1 = all
}

// plan counts anew and fails the call of that number.
func (c *calls) plan(fail int32) { c.n.Store(0); c.fail.Store(fail) }

type (
	notification struct { // struct seccomp_notif
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct { // struct seccomp_notif_resp
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// canIntercept reports whether the kernel has what interceptSync needs.
func canIntercept() error {
	action := uint32(unix.SECCOMP_RET_USER_NOTIF)
	const getActionAvail = 2
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action))); e != 0 {
		return e
	}
	return nil
}

// interceptSync puts itself between this process and fdatasync until the process ends.
func interceptSync() (*syncs, error) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 1},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	fd, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return nil, fmt.Errorf("seccomp: %w", e)
	}
	s := &syncs{fd: int(fd)}
	go s.serve() // ends with the process
	return s, nil
}

func (s *syncs) serve() {
	const flagContinue = 1 // let the call through
	for {
		var n notification
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); e != 0 {
			continue
		}
		r, c := response{id: n.id, flags: flagContinue}, &s.data
		if n.nr == unix.SYS_FSYNC {
			c = &s.full
		}
		if call, fail := c.n.Add(1), c.fail.Load(); fail == call || fail < 0 {
			r.err, r.flags = -int32(unix.EIO), 0
		}
		unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	}
}
