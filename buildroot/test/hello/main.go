// Hello is the least that a kernel can start, for make bench-boot: it says how many seconds the kernel has run, and nothing else.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
	}
	fmt.Printf("READY %.2f\n", time.Duration(t.Nano()).Seconds())
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
