package face

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

var update = flag.Bool("update", false, "write the pictures anew")

var (
	now  = time.Date(2026, 11, 26, 7, 30, 0, 0, time.FixedZone("+07", 7*3600))
	old  = now.Add(-3 * time.Hour)
	wide = image.Rect(0, 0, 800, 480)
)

// calm is a gate where nobody stands.
func calm() Scene {
	return Scene{
		Now: now, Zone: now.Location(), Touch: true, View: room(),
		State: guard.State{
			Venue: "Cổng mẫu", Lanes: []guard.Lane{{Name: "gate-1", Direction: "in", OK: true}},
			Saved: 143, Unsent: 12, Oldest: &old, Inside: 212, Stale: 9, Clock: entry.TrustNetwork.String(),
		},
	}
}

// room is what a camera sees: a wall, and somebody before it.
func room() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, 160, 120))
	for i := range g.Pix {
		x, y := i%160-60, i/160
		g.Pix[i] = uint8(90 + y/2)
		if x*x/4+(y-100)*(y-100) < 2500 || x*x+(y-35)*(y-35) < 400 {
			g.Pix[i] = uint8(150 + x)
		}
	}
	return g
}

func shown(v entry.Verdict, r entry.Reason, d entry.Direction, who string) Scene {
	s := calm()
	s.State.Shown = []guard.Shown{{Lane: "gate-1", Face: guard.FaceOf(v), Verdict: v, Reason: r, Words: guard.Words(r, v, d), Who: who}}
	return s
}

func asking(answers map[string]any) Scene {
	s := shown(entry.Look, entry.ReasonNeedsAnswers, entry.In, "")
	s.Answers = answers
	s.State.Ask = &guard.Question{ID: "q", Lane: "gate-1", Who: "Bích 90 …002", Items: []guard.Item{
		{ID: "signs", Type: "yes-no", Text: guard.Text{VI: "Trong 14 ngày qua có sốt, ho, khó thở, đau họng không?", EN: "In the last 14 days, any fever, cough, short breath or sore throat?"}},
		{ID: "ward", Type: "choice", Text: guard.Text{VI: "Đến khoa nào?", EN: "Which ward?"}, Choices: []guard.Choice{{ID: "a", Text: guard.Text{VI: "Nội", EN: "medicine"}}, {ID: "b", Text: guard.Text{VI: "Ngoại", EN: "surgery"}}}},
		{ID: "farm", Type: "days-since", Text: guard.Text{VI: "Bao nhiêu ngày từ trại lợn trước?", EN: "How many days since the last pig farm?"}},
	}}
	return s
}

func troubled() Scene {
	s := calm()
	s.State.Lanes = []guard.Lane{{Name: "gate-1", Direction: "out", OK: true, Text: "camera bị mờ · the camera is blurred"}, {Name: "gate-2", Direction: "in", OK: true}}
	s.State.Faults = []string{"thẻ nhớ chậm, hãy chờ · the disk is slow: an entry waits"}
	s.State.Clock, s.View = entry.TrustNone.String(), nil
	return s
}

func linked() Scene {
	s := calm()
	s.State.Stale, s.Link, s.Touch = 0, "https://192.0.2.7:8443/#sha256=3f7a", false
	return s
}

// pictures are all that a screen shows, by name.
func pictures() map[string]Scene {
	undoable := calm()
	undoable.State.Recent = []guard.Recent{{Seq: 143, At: now.Add(-3 * time.Second), Lane: "gate-1", Verdict: entry.Admit}}
	dead := calm()
	dead.State.Lanes[0].OK = false
	return map[string]Scene{
		"go":       shown(entry.Admit, entry.ReasonDeclared, entry.In, "Khương 75 …317"),
		"out":      shown(entry.Admit, entry.ReasonLeaving, entry.Out, "Khương 75 …317"),
		"stop":     shown(entry.Refuse, entry.ReasonRefusedAnswer, entry.In, "Mẫu 71 …204"),
		"ask":      shown(entry.Look, entry.ReasonUnprovable, entry.In, "Bích 90 …002"),
		"broken":   shown(entry.Failed, entry.ReasonJournal, entry.In, ""),
		"ready":    linked(),
		"undo":     undoable,
		"troubled": troubled(),
		"dead":     dead,
		"question": asking(nil),
		"choice":   asking(map[string]any{"signs": false}),
		"typed":    asking(map[string]any{"signs": false, "ward": "a"}),
		"answered": asking(map[string]any{"signs": false, "ward": "a", "farm": 9}),
	}
}

func paint(t testing.TB, r image.Rectangle, s Scene) (*image.RGBA, []Area) {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	dst := image.NewRGBA(r)
	return dst, p.Paint(dst, s)
}

func TestPictures(t *testing.T) {
	for name, s := range pictures() {
		got, _ := paint(t, wide, s)
		golden(t, name, got)
	}
	got, _ := paint(t, image.Rect(0, 0, 480, 800), pictures()["undo"])
	golden(t, "upright", got)
	got, _ = paint(t, image.Rect(0, 0, 320, 240), pictures()["stop"])
	golden(t, "small", got)
}

// golden compares a picture with the one that is kept. Processors round the edges of letters differently, by little.
func golden(t *testing.T, name string, got *image.RGBA) {
	t.Helper()
	path := filepath.Join("testdata", name+".png")
	if *update {
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kept, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	want, ok := kept.(*image.RGBA)
	if !ok || want.Rect != got.Rect {
		t.Fatalf("%s is %T of %v", path, kept, kept.Bounds())
	}
	differ := 0
	for i, w := range want.Pix {
		if d := int(w) - int(got.Pix[i]); d < -8 || d > 8 {
			differ++
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d of %d bytes are others than in %s (-update writes it anew)", name, differ, len(want.Pix), path)
	}
}

// eyes see a colour as people do whose eyes lack something, after Machado, Oliveira and Fernandes (2009), severity 1.
var eyes = map[string][9]float64{
	"grey":         {0.2126, 0.7152, 0.0722, 0.2126, 0.7152, 0.0722, 0.2126, 0.7152, 0.0722},
	"protanopia":   {0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998},
	"deuteranopia": {0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881},
	"tritanopia":   {1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900},
}

// seen returns c as these eyes see it, in linear light.
func seen(m [9]float64, c color.RGBA) (rgb [3]float64) {
	var in [3]float64
	for i, v := range []uint8{c.R, c.G, c.B} {
		in[i] = linear(v)
	}
	for i := range rgb {
		rgb[i] = max(0, m[3*i]*in[0]+m[3*i+1]*in[1]+m[3*i+2]*in[2])
	}
	return rgb
}

func linear(v uint8) float64 {
	if s := float64(v) / 255; s > 0.04045 {
		return math.Pow((s+0.055)/1.055, 2.4)
	} else {
		return s / 12.92
	}
}

// contrast is WCAG's of two colours, by their luminance.
func contrast(a, b [3]float64) float64 {
	l := func(c [3]float64) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] + 0.05 }
	return max(l(a), l(b)) / min(l(a), l(b))
}

// In grey and to any eyes, what is drawn stands out from its ground, and no two of the four faces are alike: not by their
// grounds, which two may share, but by what is drawn on them.
func TestFacesDifferToAllEyes(t *testing.T) {
	faces := []guard.Face{guard.Go, guard.Stop, guard.Ask, guard.Broken}
	for eye, m := range eyes {
		drawn := map[guard.Face][]bool{}
		for _, f := range faces {
			ground, ink := Colours(f)
			if c := contrast(seen(m, ground), seen(m, ink)); c < 4.5 {
				t.Errorf("%s to %s: contrast %.1f", f, eye, c)
			}
			drawn[f] = mask(t, m, f)
		}
		for i, a := range faces {
			for _, b := range faces[:i] {
				if n, all := apart(drawn[a], drawn[b]); n < all/4 {
					t.Errorf("%s and %s to %s: %d of %d drawn points differ", a, b, eye, n, all)
				}
			}
		}
	}
}

// mask tells for each point of a face's symbol whether it stands out from the ground.
func mask(t *testing.T, m [9]float64, f guard.Face) (drawn []bool) {
	t.Helper()
	ground, _ := Colours(f)
	dst := image.NewRGBA(image.Rect(0, 0, 160, 160))
	draw.Draw(dst, dst.Rect, image.NewUniform(ground), image.Point{}, draw.Src)
	s := &sheet{Image: dst}
	s.symbol(dst.Rect, f)
	out := map[color.RGBA]bool{} // there are few colours
	for i := 0; i < len(dst.Pix); i += 4 {
		c := color.RGBA{dst.Pix[i], dst.Pix[i+1], dst.Pix[i+2], 255}
		if _, known := out[c]; !known {
			out[c] = contrast(seen(m, ground), seen(m, c)) > 3
		}
		drawn = append(drawn, out[c])
	}
	return drawn
}

// apart counts the points that are drawn in one alone, and those that are drawn in either.
func apart(a, b []bool) (differ, all int) {
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
		if a[i] || b[i] {
			all++
		}
	}
	return differ, all
}

// Every letter of Vietnamese is in the font.
func TestVietnameseLetters(t *testing.T) {
	f, err := newFonts()
	if err != nil {
		t.Fatal(err)
	}
	const letters = "aàáảãạăằắẳẵặâầấẩẫậeèéẻẽẹêềếểễệiìíỉĩịoòóỏõọôồốổỗộơờớởỡợuùúủũụưừứửữựyỳýỷỹỵđ" +
		"AÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬEÈÉẺẼẸÊỀẾỂỄỆIÌÍỈĨỊOÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢUÙÚỦŨỤƯỪỨỬỮỰYỲÝỶỸỴĐ…·≈"
	for _, r := range letters {
		if i, err := f.font.GlyphIndex(nil, r); i == 0 || err != nil {
			t.Errorf("no %c, %v", r, err)
		}
	}
}

// A text that came decomposed is drawn as its letters, and no word leaves its place.
func TestFit(t *testing.T) {
	f, err := newFonts()
	if err != nil {
		t.Fatal(err)
	}
	if got := f.fit("Mo\u031b\u0300i va\u0300o", 500, 100, 40); len(got.lines) != 1 || got.lines[0] != "Mời vào" {
		t.Errorf("%q", got.lines)
	}
	for _, text := range []string{"", "Mời vào", "Đồng hồ của cổng chưa đúng, vui lòng hỏi lại.", "Nghiêng-nghiêng-nghiêng-nghiêng-nghiêng"} {
		for _, width := range []int{120, 300, 800} {
			b := f.fit(text, width, 100, 60)
			if b.height() > 100 || f.widest(b) > max(width, 250) {
				t.Errorf("%q in %d: %q in %d px", text, width, b.lines, b.px)
			}
		}
	}
}

// The code of the guard's page can be read off the picture.
func TestLink(t *testing.T) {
	picture, _ := paint(t, wide, linked())
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	got, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil || got.GetText() != linked().Link {
		t.Errorf("%v, %v", got, err)
	}
}

// Nothing of a person stands on the screen after the verdict.
func TestWhoGoesWithTheVerdict(t *testing.T) {
	before, _ := paint(t, wide, calm())
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	dst := image.NewRGBA(wide)
	p.Paint(dst, pictures()["go"])
	if bytes.Equal(dst.Pix, before.Pix) {
		t.Fatal("the verdict is not drawn")
	}
	p.Paint(dst, calm())
	if !bytes.Equal(dst.Pix, before.Pix) {
		t.Error("something of the verdict stays")
	}
}

// A picture of any size is drawn, and what can be touched lies on it.
func TestAnySize(t *testing.T) {
	for _, r := range []image.Rectangle{image.Rect(0, 0, 1, 1), image.Rect(0, 0, 160, 128), image.Rect(0, 0, 128, 400), image.Rect(0, 0, 500, 100)} {
		for name, s := range pictures() {
			_, areas := paint(t, r, s)
			for _, a := range areas {
				if !a.Rect.In(r) {
					t.Errorf("%s at %v: an area at %v", name, r, a.Rect)
				}
			}
		}
	}
}

func BenchmarkPaint(b *testing.B) {
	b.Run("view", func(b *testing.B) {
		p, err := New()
		if err != nil {
			b.Fatal(err)
		}
		dst := image.NewRGBA(wide)
		for b.Loop() {
			p.Update(dst, calm())
		}
	})
	for name, s := range pictures() {
		b.Run(name, func(b *testing.B) {
			p, err := New()
			if err != nil {
				b.Fatal(err)
			}
			dst := image.NewRGBA(wide)
			for b.Loop() {
				p.Paint(dst, s)
			}
		})
	}
}
