package keyfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/trust"
	"gatepost/storage/detached"
)

// SignatureSuffix ends the name of the file with the signature of a trust bundle.
const SignatureSuffix = ".sig"

// Issuers reads the lists of keys in every *.pem, *.crt, *.cer, *.der and *.json of a folder: the authorities whose health
// certificates count. A key that cannot be used is left out and told in refused, for a list of a hundred states has some; only a
// folder that is not there, or a file that cannot be opened, is an error.
func Issuers(dir string) (issuers []claim.Issuer, refused []error, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("folder of certificates: %w", err)
	}
	for _, f := range files {
		if f.IsDir() || !slices.Contains([]string{".pem", ".crt", ".cer", ".der", ".json"}, filepath.Ext(f.Name())) {
			continue
		}
		more, bad, err := IssuersFile(filepath.Join(dir, f.Name()), "")
		if err != nil {
			return nil, nil, err
		}
		issuers, refused = append(issuers, more...), append(refused, bad...)
	}
	if len(issuers) == 0 {
		return nil, refused, errors.Join(fmt.Errorf("folder of certificates %s: none can be used", dir), errors.Join(refused...))
	}
	return issuers, refused, nil
}

// IssuersFile reads one list, of an issuer of SMART Health Cards where site is given. That it has no key at all is one of
// refused, too; an error is of a file that cannot be opened.
func IssuersFile(path, site string) (issuers []claim.Issuer, refused []error, err error) {
	text, err := readMost(path, trust.MaxSource)
	if err != nil {
		return nil, nil, err
	}
	issuers, refused, err = trust.Read(text, site)
	if err != nil && len(refused) == 0 {
		refused = []error{err}
	}
	for i, err := range refused {
		refused[i] = fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return issuers, refused, nil
}

// Trust reads a trust bundle that has its signature in the file beside it, under the publisher's key in another file.
func Trust(path, publisherFile string) (t claim.Trust, err error) {
	publisher, err := Public(publisherFile)
	if err != nil {
		return t, fmt.Errorf("trust bundle's publisher: %w", err)
	}
	text, err := readMost(path, trust.MaxBundle)
	if err != nil {
		return t, err
	}
	sig, err := read(path + SignatureSuffix)
	if err != nil {
		return t, err
	}
	if !detached.Verify(publisher, trust.Context, text, sig) {
		return t, fmt.Errorf("%s: the trust bundle does not carry its publisher's signature", path)
	}
	if t, err = trust.Parse(text); err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
