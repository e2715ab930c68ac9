package face

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// undoable is how long a passage can be undone by a touch.
const undoable = 30 * time.Second

// ready draws the gate that waits: what the camera sees, which way people go, who is inside, what is wrong.
func (s *sheet) ready(r image.Rectangle) {
	s.ground, s.ink = night, white
	s.fill(r, night)
	in := s.margin(r)
	view, side := in, in
	if in.Dx() >= in.Dy() {
		view.Max.X = in.Min.X + min(in.Dx()*54/100, in.Dy()*4/3)
		side.Min.X = view.Max.X + 4*s.unit
	} else {
		view.Max.Y = in.Min.Y + min(in.Dy()*54/100, in.Dx()*3/4)
		side.Min.Y = view.Max.Y + 2*s.unit
	}
	s.live = view
	s.view(view)
	side = s.directions(side)
	side.Min.Y += s.words(side, "Giơ mã QR trước máy ảnh", 8*s.unit, white, left)
	side.Min.Y += s.words(side, "Hold your code to the camera", 5*s.unit, pale, left) + s.unit
	side = s.inside(side)
	side = s.troubles(side)
	s.corner(side)
}

// view draws what the camera sees, as a mirror does, and where to hold a code.
func (s *sheet) view(r image.Rectangle) {
	s.fill(r, dim)
	if s.scene.View == nil {
		s.outline(r)
		return
	}
	v := s.scene.View
	high := min(r.Dy(), r.Dx()*v.Rect.Dy()/max(1, v.Rect.Dx()))
	wide := high * v.Rect.Dx() / max(1, v.Rect.Dy())
	at := image.Rect(0, 0, wide, high).Add(image.Pt(r.Min.X+(r.Dx()-wide)/2, r.Min.Y+(r.Dy()-high)/2))
	s.mirror(at, v)
	s.outline(at)
}

// mirror draws v over all of r, turned as in a mirror.
func (s *sheet) mirror(r image.Rectangle, v *image.Gray) {
	picture, ok := s.Image.(*image.RGBA)
	if !ok || r.Empty() || !r.In(s.Bounds()) || v.Rect.Empty() {
		return // every screen is one, and has room
	}
	columns := make([]int, r.Dx())
	for x := range columns {
		columns[x] = (r.Dx() - 1 - x) * v.Rect.Dx() / r.Dx()
	}
	for y := range r.Dy() {
		from := v.Pix[y*v.Rect.Dy()/r.Dy()*v.Stride:]
		to := picture.Pix[picture.PixOffset(r.Min.X, r.Min.Y+y):]
		for x, column := range columns {
			l := from[column]
			p := to[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2], p[3] = l, l, l, 255
		}
	}
}

// outline draws the four corners of the square in which a code is read best.
func (s *sheet) outline(r image.Rectangle) {
	side, thick := r.Dy()*7/10, max(2, s.unit)
	q := image.Rect(0, 0, side, side).Add(image.Pt(r.Min.X+(r.Dx()-side)/2, r.Min.Y+(r.Dy()-side)/2))
	arm := side / 5
	for _, c := range [4]struct{ x, y, dx, dy int }{
		{q.Min.X, q.Min.Y, 1, 1}, {q.Max.X, q.Min.Y, -1, 1}, {q.Min.X, q.Max.Y, 1, -1}, {q.Max.X, q.Max.Y, -1, -1},
	} {
		s.fill(image.Rect(c.x, c.y, c.x+c.dx*arm, c.y+c.dy*thick), amber)
		s.fill(image.Rect(c.x, c.y, c.x+c.dx*thick, c.y+c.dy*arm), amber)
	}
}

// directions draws an arrow and a word for each lane, which turns it when it is touched.
func (s *sheet) directions(r image.Rectangle) image.Rectangle {
	lanes := s.lanes()
	for _, l := range lanes {
		row := top(r, 14*s.unit)
		word, other := "VÀO · IN", entry.Out
		if l.Direction == entry.Out.String() {
			word, other = "RA · OUT", entry.In
		}
		if len(lanes) > 1 {
			word = l.Name + ": " + word
		}
		if s.scene.Touch {
			s.fill(row, dim)
			s.area(row, guard.Action{Turn: &guard.Turn{Lane: l.Name, Direction: other.String()}})
		}
		arrow := image.Rect(row.Min.X, row.Min.Y, row.Min.X+row.Dy(), row.Max.Y).Inset(2 * s.unit)
		s.arrow(arrow, other == entry.Out)
		s.words(image.Rect(arrow.Max.X+2*s.unit, row.Min.Y+2*s.unit, row.Max.X, row.Max.Y), word, 8*s.unit, white, left)
		r.Min.Y = row.Max.Y + s.unit
	}
	return r
}

// arrow points right for in, left for out.
func (s *sheet) arrow(r image.Rectangle, in bool) {
	head, tail := []point{{1, 0}, {0.1, -0.8}, {0.1, 0.8}}, []point{{-1, -0.25}, {0.2, -0.25}, {0.2, 0.25}, {-1, 0.25}}
	for _, outline := range [][]point{head, tail} {
		for i := range outline {
			if !in {
				outline[i].x = -outline[i].x
			}
		}
		s.shapes(r, white, outline)
	}
}

// inside draws how many are inside, with how far that is certain.
func (s *sheet) inside(r image.Rectangle) image.Rectangle {
	n, stale := s.scene.State.Inside, s.scene.State.Stale
	vi, en := "Bên trong: "+guard.Grouped(uint64(n), "."), fmt.Sprintf("inside: %d", n)
	if stale > 0 {
		vi = fmt.Sprintf("Bên trong: khoảng %s, %s chưa thấy ra", guard.Grouped(uint64(n), "."), guard.Grouped(uint64(stale), "."))
		en = fmt.Sprintf("inside: about %d, %d never left", n, stale)
	}
	r.Min.Y += s.words(r, vi, 6*s.unit, white, left)
	r.Min.Y += s.words(r, en, 4*s.unit, pale, left)
	if lock := s.scene.State.Lock; lock != nil {
		r.Min.Y += s.words(r, lock.VI+" · "+lock.EN, 4*s.unit, pale, left)
	}
	return r
}

// troubles draws what a person must act on.
func (s *sheet) troubles(r image.Rectangle) image.Rectangle {
	var all []string
	for _, l := range s.lanes() {
		if l.Text != "" {
			all = append(all, l.Name+": "+l.Text)
		}
	}
	all = append(all, s.scene.State.Faults...)
	if s.scene.Trouble != "" {
		all = append(all, s.scene.Trouble)
	}
	for _, text := range all {
		if r.Dy() < 8*s.unit {
			break
		}
		r.Min.Y += s.unit
		r.Min.Y += s.words(top(r, 14*s.unit), "! "+text, 4*s.unit, amber, left)
	}
	return r
}

// corner draws, where there is room, the button that undoes the last passage, and else the code of the guard's page.
func (s *sheet) corner(r image.Rectangle) {
	if last := s.last(); last != nil && s.scene.Touch && r.Dy() >= 12*s.unit {
		row := image.Rect(r.Min.X, r.Max.Y-12*s.unit, r.Max.X, r.Max.Y)
		s.button(row, guard.Text{VI: fmt.Sprintf("Huỷ lượt %d", last.Seq), EN: "undo"}, dim, white)
		s.area(row, guard.Action{Undo: &guard.Undo{Seq: last.Seq}})
		return
	}
	side := min(r.Dx(), r.Dy())
	if s.scene.Link == "" || side < 16*s.unit {
		return
	}
	s.qr(image.Rect(r.Max.X-side, r.Max.Y-side, r.Max.X, r.Max.Y))
}

// last returns the passage that can be undone by a touch, or nil.
func (s *sheet) last() *guard.Recent {
	for i, e := range s.scene.State.Recent {
		if e.Verdict == entry.Admit && (s.scene.Lane == "" || e.Lane == s.scene.Lane) {
			if e.Undone || s.scene.Now.Sub(e.At).Abs() > undoable {
				return nil
			}
			return &s.scene.State.Recent[i]
		}
	}
	return nil
}

// button draws a field with words in it.
func (s *sheet) button(r image.Rectangle, words guard.Text, ground, ink color.RGBA) {
	s.fill(r, ground)
	text := words.VI
	if words.EN != "" {
		text += " · " + words.EN
	}
	b := s.fonts.fit(text, r.Dx()-2*s.unit, r.Dy()-s.unit, 7*s.unit)
	s.text(r.Add(image.Pt(0, (r.Dy()-b.height())/2)), b, ink, middle)
}

// qr draws the link's code in whole pixels a module, light around it.
func (s *sheet) qr(r image.Rectangle) {
	if s.link != s.scene.Link {
		m, err := qrcode.NewQRCodeWriter().Encode(s.scene.Link, gozxing.BarcodeFormat_QR_CODE, 1, 1, nil)
		s.link, s.code = s.scene.Link, nil
		if err != nil {
			return // too long to be drawn
		}
		s.code = image.NewGray(image.Rect(0, 0, m.GetWidth(), m.GetHeight()))
		for i := range s.code.Pix {
			if !m.Get(i%m.GetWidth(), i/m.GetWidth()) {
				s.code.Pix[i] = 255
			}
		}
	}
	if s.code == nil {
		return
	}
	n := s.code.Rect.Dx()
	module := r.Dx() / n
	if module < 2 {
		return // no telephone reads it
	}
	at := r.Max.Sub(image.Pt(n*module, n*module))
	for y := range n {
		for x := range n {
			p := at.Add(image.Pt(x*module, y*module))
			draw.Draw(s.Image, image.Rect(p.X, p.Y, p.X+module, p.Y+module), image.NewUniform(s.code.GrayAt(x, y)), image.Point{}, draw.Src)
		}
	}
}
