package keyfile

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gatepost/scanner/credential/claim"
)

// Issuers reads the certificates of every *.pem, *.crt, *.cer and *.der of a folder: the authorities whose health
// certificates count. One that cannot be read is left out and told in refused, for a list of a hundred states has some; only a
// folder that is not there, or a file that cannot be opened, is an error.
func Issuers(dir string) (issuers []claim.Issuer, refused []error, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("folder of certificates: %w", err)
	}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if f.IsDir() || ext != ".pem" && ext != ".crt" && ext != ".cer" && ext != ".der" {
			continue
		}
		raw, err := read(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, nil, err
		}
		ders := certificates(raw)
		if len(ders) == 0 {
			refused = append(refused, fmt.Errorf("%s: no certificate", f.Name()))
		}
		for _, der := range ders {
			i, err := claim.NewIssuer(der)
			if err != nil {
				refused = append(refused, fmt.Errorf("%s: %w", f.Name(), err))
				continue
			}
			issuers = append(issuers, i)
		}
	}
	if len(issuers) == 0 {
		return nil, refused, errors.Join(fmt.Errorf("folder of certificates %s: none can be used", dir), errors.Join(refused...))
	}
	return issuers, refused, nil
}

// certificates returns the DER of the certificates in a file of PEM, or of one of DER.
func certificates(raw []byte) (ders [][]byte) {
	if len(raw) > 0 && raw[0] == 0x30 { // a SEQUENCE of ASN.1
		return [][]byte{raw}
	}
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return ders
		}
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
}
