// Hand plays what people and hardware do at a gate, for the proof in a virtual machine:
//
//	hand wedge NAME TEXT…   plugs in a keyboard of that name, types each text and Enter, and stays plugged in
//	hand touch NAME         plugs in a touch panel of 1000 x 1000, and touches it where each line "X Y" of standard input says
//	hand serial LINK        plugs in a serial scanner as LINK, which scans each line of standard input
//	hand rtc BUS            prints the time of the DS3231 on an I2C bus, in seconds since 1970
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/device/rtc"

	"golang.org/x/sys/unix"
)

func main() {
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hand:", err)
		os.Exit(1)
	}
}

func play(args []string) error {
	switch {
	case len(args) >= 2 && args[0] == "wedge":
		return wedge(args[1], args[2:])
	case len(args) == 2 && args[0] == "touch":
		return touch(args[1])
	case len(args) == 2 && args[0] == "serial":
		return serial(args[1])
	case len(args) == 2 && args[0] == "rtc":
		return printRTC(args[1])
	}
	return errors.New("usage: hand wedge NAME TEXT… | touch NAME | serial LINK | rtc BUS")
}

// wedge types as a scanner does, and waits for its end.
func wedge(name string, texts []string) error {
	d, err := plug(name, nil)
	if err != nil {
		return err
	}
	defer d.Close()
	time.Sleep(8 * time.Second) // whoever waits for such a scanner looks every few seconds
	for _, text := range texts {
		for _, r := range text + "\n" {
			if err := d.press(r); err != nil {
				return err
			}
		}
	}
	select {} // unplugged by the end of this program
}

func touch(name string) error {
	d, err := plug(name, []uint16{absX, absY})
	if err != nil {
		return err
	}
	defer d.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var x, y int32
		if _, err := fmt.Sscan(lines.Text(), &x, &y); err != nil {
			return fmt.Errorf("touch at %q: %w", lines.Text(), err)
		}
		if err := d.send(event{absolute, absX, x}, event{absolute, absY, y}, event{key, touched, 1}, event{}, event{key, touched, 0}, event{}); err != nil {
			return err
		}
	}
	return nil
}

// serial is the scanner's end of a pseudo-terminal.
func serial(link string) error {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := os.Symlink(fmt.Sprintf("/dev/pts/%d", n), link); err != nil {
		return err
	}
	defer os.Remove(link)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := unix.Write(fd, []byte(strings.TrimSpace(lines.Text())+"\r\n")); err != nil {
			return err
		}
	}
	return nil
}

func printRTC(bus string) error {
	n, err := strconv.Atoi(bus)
	if err != nil {
		return err
	}
	c, err := rtc.Open(n)
	if err != nil {
		return err
	}
	defer c.Close()
	at, err := c.Read()
	if err != nil {
		return err
	}
	fmt.Println(at.Unix())
	return nil
}
