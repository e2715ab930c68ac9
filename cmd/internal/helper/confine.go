package helper

import (
	"fmt"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

// calls are what a gate, Go's runtime and aplay ask of the kernel. What is not here fails with EPERM. Those that a machine does
// not have are passed over.
var calls = []string{
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "open", "openat", "close", "close_range",
	"stat", "lstat", "fstat", "newfstatat", "fstatat", "statx", "statfs", "fstatfs", "lseek", "access", "faccessat", "faccessat2",
	"mmap", "munmap", "mprotect", "mremap", "madvise", "msync", "mincore", "brk", "membarrier", "rseq",
	"futex", "set_robust_list", "get_robust_list", "set_tid_address", "arch_prctl",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "tkill", "kill", "restart_syscall",
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid", "getrandom",
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "adjtimex", "clock_adjtime",
	"sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "setitimer", "timer_create", "timer_settime", "timer_delete",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe2", "poll", "ppoll", "select", "pselect6",
	"timerfd_create", "timerfd_settime", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	"socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt",
	"sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
	"ioctl", "fcntl", "flock", "fsync", "fdatasync", "sync", "syncfs", "truncate", "ftruncate", "fallocate", "fadvise64", "copy_file_range", "sendfile", "splice",
	"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlinkat", "readlink", "readlinkat",
	"fchmod", "fchmodat", "utimensat", "umask", "getcwd", "chdir", "getdents64", "dup", "dup2", "dup3",
	"clone", "clone3", "vfork", "execve", "exit", "exit_group", "wait4", "waitid", "pidfd_open", "pidfd_send_signal",
	"prctl", "prlimit64", "getrlimit", "setrlimit", "getrusage", "times", "uname", "sysinfo", "getcpu",
	// 32 bits
	"mmap2", "_llseek", "fcntl64", "stat64", "lstat64", "fstat64", "fstatat64", "statfs64", "fstatfs64", "ftruncate64", "_newselect", "ugetrlimit",
	"getuid32", "geteuid32", "getgid32", "getegid32", "getgroups32", "clock_gettime64", "clock_getres_time64", "clock_nanosleep_time64",
	"futex_time64", "ppoll_time64", "pselect6_time64", "utimensat_time64", "recvmmsg_time64", "timer_settime64", "timerfd_settime64",
}

// Confine leaves this process, and what it starts, no calls of the kernel but those that a gate needs, and no way to privileges.
func Confine() error {
	machine, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	var known []string
	for _, name := range calls {
		if _, ok := machine.SyscallNames[name]; ok {
			known = append(known, name)
		}
	}
	err = seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: known}},
		},
	})
	if err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	return nil
}
