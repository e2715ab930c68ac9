package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/device/files"
	"gatepost/scanner/luma"
	"gatepost/scanner/qr"

	"golang.org/x/sys/unix"
)

const readHelp = `usage: gatectl read [-reps N] [-manifest M.tsv | FILE…]
       gatectl read -explain PICTURE.png FILE

Reads the QR codes in pictures (PGM, PNG, JPEG). One line a picture and rotation, parted by tabs: file, rotation,
width, height, median and minimum CPU in microseconds, and the texts in hex, joined by |, or - if there is none.
A manifest's line is: file, expected text in hex or !, rotations such as 0,90 (counter-clockwise); its files are
looked up beside it. CPU is what the whole process spent from the picture in memory to its texts.

-explain draws what the reader saw of one picture: circles are what looks like the squares in a code's corners, frames are codes
that were looked at, green when they were read, and dots what each module was taken for.

`

// maxReps keeps a typing error from running for a week.
const maxReps = 1_000_000

// errManifest means that a manifest's words are off, as opposed to its file.
var errManifest = errors.New("malformed manifest")

// A shot is one picture in the rotations that are to be read, as the user named it and where it lies.
type shot struct {
	name, path string
	rotations  []int // degrees counter-clockwise
}

// read prints what codes are in pictures and what it costs to read them.
func read(ctx context.Context, e env, args []string) int {
	fs := newFlags("read", readHelp)
	reps := fs.Int("reps", 1, "how often each picture is read")
	manifest := fs.String("manifest", "", "a list of pictures")
	drawing := fs.String("explain", "", "draw what the reader saw of one picture into this PNG `file`")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if *reps < 1 || *reps > maxReps {
		return misused(e, fs, fmt.Sprintf("-reps %d: want 1 to %d", *reps, maxReps))
	}
	if (*manifest == "") == (fs.NArg() == 0) {
		return misused(e, fs, "want either -manifest or files")
	}
	if *drawing != "" {
		if *manifest != "" || fs.NArg() != 1 {
			return misused(e, fs, "-explain takes one picture")
		}
		return explainPicture(e, *drawing, fs.Arg(0))
	}
	shots, err := listShots(*manifest, fs.Args())
	if errors.Is(err, errManifest) {
		return misused(e, fs, err.Error())
	}
	if err != nil {
		return fail(e, "read", err)
	}
	return readShots(ctx, e, shots, *reps)
}

func listShots(manifest string, names []string) ([]shot, error) {
	if manifest != "" {
		return loadManifest(manifest)
	}
	var all []shot
	for _, name := range names {
		all = append(all, shot{name, name, []int{0}})
	}
	return all, nil
}

func loadManifest(path string) ([]shot, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []shot
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" {
			continue
		}
		s, err := parseShot(lines.Text(), filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("%w: %s, line %d: %w", errManifest, path, n, err)
		}
		all = append(all, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errManifest, path, err)
	}
	return all, nil
}

func parseShot(line, dir string) (shot, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 3 || fields[0] == "" {
		return shot{}, errors.New("want file, expected text and rotations, parted by tabs")
	}
	s := shot{name: fields[0], path: fields[0]}
	if !filepath.IsAbs(s.path) {
		s.path = filepath.Join(dir, s.path)
	}
	for word := range strings.SplitSeq(fields[2], ",") {
		degrees, err := strconv.Atoi(word)
		if err != nil || !slices.Contains([]int{0, 90, 180, 270}, degrees) {
			return shot{}, fmt.Errorf("rotation %q: want 0, 90, 180 or 270", word)
		}
		s.rotations = append(s.rotations, degrees)
	}
	return s, nil
}

func readShots(ctx context.Context, e env, shots []shot, reps int) int {
	code := exitOK
	out := bufio.NewWriter(e.out)
	r := qr.New()
	for _, s := range shots {
		p, err := loadPlane(s.path)
		if err != nil {
			fmt.Fprintf(e.err, "gatectl read: %s: %v\n", s.name, err)
			code = exitFail
		}
		for _, degrees := range s.rotations {
			if ctx.Err() != nil {
				return exitFail
			}
			fmt.Fprintf(out, "%s\t%d\t%s\n", s.name, degrees, measure(r, p, degrees, reps))
			if err := out.Flush(); err != nil {
				fmt.Fprintf(e.err, "gatectl read: %v\n", err)
				return exitFail
			}
		}
	}
	return code
}

func loadPlane(path string) (*luma.Plane, error) {
	f, err := files.Load(path)
	if err != nil {
		return nil, err
	}
	p := new(luma.Plane)
	return p, p.Set(f)
}

// measure returns width, height, median and minimum CPU and texts of p, turned; of no plane, that there is nothing.
func measure(r *qr.Reader, p *luma.Plane, degrees, reps int) string {
	if p == nil {
		return "0\t0\t0\t0\t-"
	}
	for range degrees / 90 {
		p = quarterTurn(p)
	}
	spent := make([]time.Duration, reps)
	var texts []string
	for i := range spent {
		began := cpuTime()
		texts = r.Read(p)
		spent[i] = cpuTime() - began
	}
	slices.Sort(spent)
	median := (spent[(reps-1)/2] + spent[reps/2]) / 2
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%s", p.Width, p.Height, micros(median), micros(spent[0]), hexOf(texts))
}

func micros(d time.Duration) int64 { return int64(math.Round(float64(d) / 1e3)) }

func hexOf(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = hex.EncodeToString([]byte(t))
	}
	return strings.Join(all, "|")
}

// quarterTurn returns p turned by 90 degrees counter-clockwise.
func quarterTurn(p *luma.Plane) *luma.Plane {
	q := &luma.Plane{Width: p.Height, Height: p.Width, Stride: p.Height, Pix: make([]byte, p.Width*p.Height)}
	for y := range q.Height {
		for x := range q.Width {
			q.Pix[y*q.Stride+x] = p.Pix[x*p.Stride+p.Width-1-y]
		}
	}
	return q
}

// cpuTime is what all threads of this process have spent so far.
func cpuTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
