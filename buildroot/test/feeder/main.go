// Feeder holds QR codes before a simulated camera, for the proof that the kiosk reads a real V4L2 device.
//
//	feeder INPUT OUTPUT
//
// It loops the output of the kernel's vivid driver into its input, at 640x480, and shows every line of its
// standard input until the next one comes: as a QR code, or as a bare wall when the line is empty. It says
// "ready" once the input may be opened by others, and ends with an error when the device goes.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: feeder INPUT OUTPUT < TEXTS")
		os.Exit(2)
	}
	if err := feed(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "feeder:", err)
		os.Exit(1)
	}
}

func feed(input, output string) error {
	if err := loop(input); err != nil {
		return fmt.Errorf("set up %s: %w", input, err)
	}
	out, err := openOutput(output)
	if err != nil {
		return fmt.Errorf("set up %s: %w", output, err)
	}
	defer out.close()
	pictures := make(chan []byte)
	broken := make(chan error, 1)
	go read(pictures, broken) // ends with standard input, or with the program
	fmt.Println("ready")
	picture := wall()
	for n := 0; ; n++ {
		shimmer(picture, n)
		select {
		case picture = <-pictures:
		case err := <-broken:
			return err
		default:
		}
		if err := out.show(picture); err != nil {
			return fmt.Errorf("show a picture: %w", err)
		}
	}
}

// read draws each line of standard input.
func read(pictures chan<- []byte, broken chan<- error) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		picture, err := draw(lines.Text())
		if err != nil {
			broken <- err
			return
		}
		pictures <- picture
	}
	if err := lines.Err(); err != nil {
		broken <- err
		return
	}
	broken <- errors.New("standard input ended")
}
