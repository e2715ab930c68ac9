package main

import (
	"bytes"
	"fmt"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

const (
	width  = 640
	height = 480
	code   = 400 // pixels, the quiet zone with it

	black, white, plaster = 30, 225, 150 // luma
)

// wall returns a bare wall with a door in it, a byte of luma a pixel.
func wall() []byte {
	picture := bytes.Repeat([]byte{plaster}, width*height)
	for y := height / 4; y < height; y++ {
		for x := width / 16; x < width/8; x++ {
			picture[y*width+x] = black
		}
	}
	return picture
}

// shimmer changes a few pixels by the least there is, each time others: a sensor never gives the same picture twice.
func shimmer(picture []byte, n int) {
	for i := n % 7; i < len(picture); i += 7 {
		picture[i] ^= 1
	}
}

// draw returns a picture of text as a QR code before the wall; no text leaves the wall bare.
func draw(text string) ([]byte, error) {
	picture := wall()
	if text == "" {
		return picture, nil
	}
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, code, code, hints)
	if err != nil {
		return nil, fmt.Errorf("draw a code: %w", err)
	}
	left, top := (width-code)/2, (height-code)/2
	for y := range code {
		for x := range code {
			luma := byte(white)
			if m.Get(x, y) {
				luma = black
			}
			picture[(top+y)*width+left+x] = luma
		}
	}
	return picture, nil
}
