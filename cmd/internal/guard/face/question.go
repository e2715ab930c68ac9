package face

import (
	"fmt"
	"image"
	"maps"

	"gatepost/cmd/internal/guard"
)

// ask draws the first question that has no answer yet, with a button for each; after the last one, a button that hands
// them all in.
func (s *sheet) ask(r image.Rectangle, q guard.Question) {
	s.ground, s.ink = amber, black
	s.fill(r, amber)
	in := s.margin(r)
	low := image.Rect(in.Min.X, in.Max.Y-12*s.unit, in.Max.X, in.Max.Y)
	leave := low
	leave.Min.X += low.Dx() * 2 / 3
	s.button(leave, guard.Text{VI: "Bỏ qua", EN: "leave"}, white, black)
	s.area(leave, guard.Action{Leave: &guard.Leave{ID: q.ID}})
	in.Max.Y = low.Min.Y - 2*s.unit
	open, number := next(q, s.scene.Answers)
	in.Min.Y += s.words(top(in, 8*s.unit), fmt.Sprintf("%s  %d/%d", q.Who, number, len(q.Items)), 6*s.unit, black, left)
	if s.scene.Trouble != "" {
		s.words(image.Rect(low.Min.X, low.Min.Y, leave.Min.X-2*s.unit, low.Max.Y), s.scene.Trouble, 4*s.unit, black, left)
	}
	if open == nil {
		s.hand(in, q)
		return
	}
	text := top(in, in.Dy()*6/10)
	text.Min.Y += s.words(top(text, text.Dy()*6/10), open.Text.VI, 9*s.unit, black, left)
	s.words(text, open.Text.EN, 6*s.unit, black, left)
	s.choices(image.Rect(in.Min.X, in.Max.Y-in.Dy()*4/10+s.unit, in.Max.X, in.Max.Y), *open)
}

// next returns the first item without an answer and its number, from 1 on; nil and the last number when all have one.
func next(q guard.Question, answers map[string]any) (open *guard.Item, number int) {
	for i, item := range q.Items {
		if _, ok := answers[item.ID]; !ok {
			return &q.Items[i], i + 1
		}
	}
	return nil, len(q.Items)
}

// choices draws the answers of an item side by side. What must be typed is asked on the guard's page.
func (s *sheet) choices(r image.Rectangle, item guard.Item) {
	type choice struct {
		words guard.Text
		value any
	}
	var all []choice
	switch item.Type {
	case "yes-no":
		all = []choice{{guard.Text{VI: "KHÔNG", EN: "no"}, false}, {guard.Text{VI: "CÓ", EN: "yes"}, true}}
	case "choice":
		for _, c := range item.Choices {
			all = append(all, choice{c.Text, c.ID})
		}
	default:
		s.words(r, "Trả lời trên trang của bảo vệ · answer on the guard's page", 6*s.unit, black, left)
		return
	}
	for i, c := range all {
		b := image.Rect(r.Min.X+i*r.Dx()/len(all), r.Min.Y, r.Min.X+(i+1)*r.Dx()/len(all)-2*s.unit, r.Max.Y)
		s.button(b, c.words, black, white)
		answers := maps.Clone(s.scene.Answers)
		if answers == nil {
			answers = map[string]any{}
		}
		answers[item.ID] = c.value
		s.areas = append(s.areas, Area{Rect: b.Intersect(s.Bounds()), Answer: answers})
	}
}

// hand draws the button that hands the answers in, and the one that begins anew.
func (s *sheet) hand(r image.Rectangle, q guard.Question) {
	row := image.Rect(r.Min.X, r.Min.Y+r.Dy()/4, r.Max.X, r.Max.Y-r.Dy()/4)
	send, again := row, row
	send.Max.X = row.Min.X + row.Dx()*2/3 - 2*s.unit
	again.Min.X = send.Max.X + 2*s.unit
	s.button(send, guard.Text{VI: "Xong", EN: "done"}, black, white)
	s.area(send, guard.Action{Answer: &guard.Answer{ID: q.ID, Answers: s.scene.Answers}})
	s.button(again, guard.Text{VI: "Làm lại", EN: "again"}, white, black)
	s.areas = append(s.areas, Area{Rect: again.Intersect(s.Bounds()), Answer: map[string]any{}})
}
