package qr

import (
	"errors"
	"fmt"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common/reedsolomon"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

// correct reads one code from its modules, which it changes. The parts of gozxing's decoder are called one by one,
// because the whole guesses a charset and fails on those that it does not know.
func (r *Reader) correct(modules *gozxing.BitMatrix) (s symbol, err error) {
	defer func() {
		if v := recover(); v != nil { // gozxing indexes arrays by what it reads in the modules
			r.panics++
			err = fmt.Errorf("decoder: %v", v)
		}
	}()
	p, err := decoder.NewBitMatrixParser(modules)
	if err != nil {
		return symbol{}, fmt.Errorf("look at modules: %w", err)
	}
	return read(p)
}

func read(p *decoder.BitMatrixParser) (symbol, error) {
	version, err := p.ReadVersion()
	if err != nil || version == nil {
		return symbol{}, fmt.Errorf("read version: %w", err)
	}
	format, err := p.ReadFormatInformation()
	if err != nil {
		return symbol{}, fmt.Errorf("read format: %w", err)
	}
	raw, err := p.ReadCodewords()
	if err != nil {
		return symbol{}, fmt.Errorf("read codewords: %w", err)
	}
	blocks, err := decoder.DataBlock_GetDataBlocks(raw, version, format.GetErrorCorrectionLevel())
	if err != nil {
		return symbol{}, fmt.Errorf("part blocks: %w", err)
	}
	data, err := corrected(blocks)
	if err != nil {
		return symbol{}, err
	}
	return parse(data, version.GetVersionNumber())
}

// corrected returns the data codewords of all blocks, in order.
func corrected(blocks []*decoder.DataBlock) ([]byte, error) {
	rs := reedsolomon.NewReedSolomonDecoder(reedsolomon.GenericGF_QR_CODE_FIELD_256)
	var data []byte
	for _, b := range blocks {
		words := make([]int, len(b.GetCodewords()))
		for i, w := range b.GetCodewords() {
			words[i] = int(w)
		}
		if rs.Decode(words, len(words)-b.GetNumDataCodewords()) != nil {
			return nil, errors.New("too many modules are misread")
		}
		for _, w := range words[:b.GetNumDataCodewords()] {
			data = append(data, byte(w))
		}
	}
	return data, nil
}
