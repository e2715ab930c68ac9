package scene

import (
	"fmt"
	"math/rand"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

const base45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// certificate returns as many characters as a certificate may have, and nothing in them.
func certificate(r *rand.Rand, n int) string {
	b := []byte("HC1:")
	for len(b) < n {
		b = append(b, base45[r.Intn(len(base45))])
	}
	return string(b)
}

// What people at a Vietnamese gate show, with invented content.
var (
	family = []string{"NGUYEN", "TRAN", "LE", "PHAM", "HOANG", "VU", "DANG", "BUI"}
	given  = []string{"VAN AN", "THI BICH", "MINH CHAU", "DUC DUNG", "THI HUONG", "QUANG KHAI", "NGOC LAN", "TUAN MINH"}
	whole  = []string{"Nguyễn Văn Ân", "Trần Thị Bích", "Lê Minh Châu", "Phạm Đức Dũng", "Hoàng Thị Hường", "Vũ Quang Khải", "Đặng Ngọc Lan", "Bùi Tuấn Mịnh"}
	place  = []string{"Thôn Đông, Tiền Phong, Mê Linh, Hà Nội", "Khu 3, TT Quang Minh, Mê Linh, Hà Nội", "Xóm Bãi, Văn Khê, Mê Linh, Hà Nội", "Số 12 ngõ 5, Hoàng Kim, Mê Linh, Hà Nội"}
)

func pick(r *rand.Rand, from []string) string { return from[r.Intn(len(from))] }

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.Intn(10))
	}
	return string(b)
}

// personal returns the text of a personal code on a phone.
func personal(r *rand.Rand) string {
	return fmt.Sprintf("******%s|%s %s|%d-**-**|0|16%s|<%d<00<0%s",
		digits(r, 6), pick(r, family), pick(r, given), 1950+r.Intn(56), digits(r, 16), 1+r.Intn(2), digits(r, 9))
}

// card returns the text of an identity card's code.
func card(r *rand.Rand) string {
	return fmt.Sprintf("001%s|%s|%s|%02d%02d%d|%s|%s|%02d%02d2021",
		digits(r, 9), digits(r, 9), pick(r, whole), 1+r.Intn(28), 1+r.Intn(12), 1950+r.Intn(56), []string{"Nam", "Nữ"}[r.Intn(2)], pick(r, place), 1+r.Intn(28), 1+r.Intn(12))
}

// declaration returns as many characters as a declaration has.
func declaration(r *rand.Rand) string { return "HD1:" + certificate(r, 235+r.Intn(45))[4:] }

// code draws the shot's text and its modules, true where dark, of a code that fits into a picture of height pixels.
func (s Shot) code(r *rand.Rand, height int) (text string, code [][]bool) {
	level := s.Level
	if level == "" {
		level = string("LMQ"[r.Intn(3)])
	}
	if s.Text != nil {
		text = s.Text(r)
		return text, modules(text, level)
	}
	least, most := s.Least, s.Most
	if least == 0 {
		least, most = 350, 700
	}
	for {
		text = certificate(r, least+r.Intn(most-least+1))
		code = modules(text, level)
		if float64(len(code)+2*quiet)*s.Module*1.02 <= float64(height) {
			return text, code
		}
		if most = least + (most-least)*3/4; most-least < 5 { // shorter, and in the end with less to correct it
			level = "L"
			if least > 300 {
				least -= 40
			}
			most = least + 30
		}
	}
}

func modules(text, level string) [][]bool {
	ec := map[string]decoder.ErrorCorrectionLevel{
		"L": decoder.ErrorCorrectionLevel_L, "M": decoder.ErrorCorrectionLevel_M, "Q": decoder.ErrorCorrectionLevel_Q,
	}[level]
	var hints map[gozxing.EncodeHintType]any
	if strings.IndexFunc(text, func(c rune) bool { return c > 127 }) >= 0 {
		hints = map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	}
	code, err := encoder.Encoder_encode(text, ec, hints)
	if err != nil {
		panic(err) // a scene's own text always fits
	}
	m := code.GetMatrix()
	rows := make([][]bool, m.GetHeight())
	for y := range rows {
		rows[y] = make([]bool, m.GetWidth())
		for x := range rows[y] {
			rows[y][x] = m.Get(x, y) == 1
		}
	}
	return rows
}
