// Shot photographs the screen of a virtual machine, for the proof of what stands on it, and listens to its speaker:
//
//	shot serve MONITOR LISTEN DIR     takes a picture into DIR/NAME.png at each request for /NAME?RRGGBB, once it is of that
//	                                  ground, or /NAME?code, once there is a code on it
//	shot check FILE ground RRGGBB     the picture has that colour at its edges
//	shot check FILE code TEXT         a QR code on it says that
//	shot check FILE tone HERTZ        in the sound file a tone of that pitch is heard
//
// MONITOR is the address of QEMU's monitor.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "serve":
		return serve(args[1], args[2], args[3])
	case len(args) == 4 && args[0] == "check":
		return check(args[1], args[2], args[3])
	}
	return errors.New("usage: shot serve MONITOR LISTEN DIR | shot check FILE ground|code|tone WANT")
}

// patience is how long a picture may take to be what is waited for: an emulated processor draws slowly, and a green face
// stands for a second, of several people.
const patience = 90 * time.Second

func serve(monitor, listen, dir string) error {
	var one sync.Mutex
	return http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Join(dir, filepath.Base(r.URL.Path)+".png")
		for until := time.Now().Add(patience); ; {
			one.Lock()
			err := shoot(monitor, file)
			one.Unlock()
			if err == nil {
				err = awaited(file, r.URL.RawQuery)
			}
			if err == nil {
				return
			}
			if time.Now().After(until) {
				fmt.Fprintln(os.Stderr, "shot:", err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			time.Sleep(100 * time.Millisecond) // the machine draws meanwhile
		}
	}))
}

// awaited tells whether a picture is what was waited for.
func awaited(file, want string) error {
	if want != "code" {
		return check(file, "ground", want)
	}
	picture, err := load(file)
	if err == nil {
		_, err = code(picture)
	}
	if err == nil && ground(picture) == torn {
		err = errors.New("it is being drawn")
	}
	return err
}

// shoot has QEMU write the screen into a file, which is whole when the monitor's next prompt comes.
func shoot(monitor, file string) error {
	c, err := net.Dial("tcp", monitor)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	for _, command := range []string{"", "screendump " + file + " -f png\n"} {
		if _, err := c.Write([]byte(command)); err != nil {
			return err
		}
		said, err := prompt(in)
		if err != nil {
			return err
		}
		if strings.Contains(said, "Error") {
			return errors.New(said)
		}
	}
	_, err = os.Stat(file)
	return err
}

// prompt reads until QEMU's monitor waits for a command.
func prompt(in *bufio.Reader) (said string, err error) {
	for !strings.HasSuffix(said, "(qemu) ") {
		b, err := in.ReadByte()
		if err != nil {
			return said, err
		}
		said += string(b)
	}
	return said, nil
}

func check(file, what, want string) error {
	if what == "tone" {
		return heard(file, want)
	}
	picture, err := load(file)
	if err != nil {
		return err
	}
	got := ground(picture)
	if what == "code" {
		if got, err = code(picture); err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%s of %s is %s, want %s", what, filepath.Base(file), got, want)
	}
	return nil
}

func load(file string) (image.Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return png.Decode(f)
}

// torn is the ground of a picture that is half of one face and half of another.
const torn = "torn"

// ground returns the colour at a picture's edges, above the line at its foot.
func ground(picture image.Image) string {
	b := picture.Bounds()
	above, below := colour(picture, b.Max.X-3, b.Min.Y+2), colour(picture, b.Min.X+2, b.Min.Y+b.Dy()*85/100)
	if above != below {
		return torn
	}
	return above
}

func colour(picture image.Image, x, y int) string {
	r, g, b, _ := picture.At(x, y).RGBA()
	return fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, b>>8)
}

func code(picture image.Image) (string, error) {
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", err
	}
	got, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return "", err
	}
	return got.GetText(), nil
}
