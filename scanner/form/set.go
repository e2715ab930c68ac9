package form

import (
	"crypto/ed25519"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"gatepost/scanner/form/strict"
	"gatepost/storage/detached"
)

// SignatureSuffix names the file beside a form's that holds its signature.
const SignatureSuffix = ".sig"

// context is signed before a form's bytes, so that the signature serves nothing else.
const context = "gatepost/form/1\n"

// ErrSignature means that a form was not signed by the publisher, or was changed since.
var ErrSignature = errors.New("the form does not carry its publisher's signature")

// Sign returns the content of the signature's file, see package detached.
func Sign(key ed25519.PrivateKey, toml []byte) []byte {
	return detached.Sign(key, context, toml)
}

// Verify checks what Sign wrote. It fails with ErrSignature.
func Verify(publisher ed25519.PublicKey, toml, signature []byte) error {
	if !detached.Verify(publisher, context, toml, signature) {
		return ErrSignature
	}
	return nil
}

// A Set is forms by their Ref.
type Set map[string]Form

// Newest returns the form with the highest version of an id.
func (s Set) Newest(id string) (newest Form, ok bool) {
	for _, f := range s {
		if f.ID == id && f.Version > newest.Version {
			newest, ok = f, true
		}
	}
	return newest, ok
}

// Find returns the form that is named by a Ref, or by an id for its newest version.
func (s Set) Find(name string) (Form, bool) {
	if f, ok := s[name]; ok {
		return f, true
	}
	return s.Newest(name)
}

// Load reads every *.toml of fsys with its signature beside it. One bad file fails them all, since a venue
// that asks less than it was told to is worse than one that says so; the error tells every fault of every file.
func Load(fsys fs.FS, publisher ed25519.PublicKey) (Set, error) {
	names, err := fs.Glob(fsys, "*.toml")
	if err != nil {
		return nil, fmt.Errorf("list forms: %w", err)
	}
	set := Set{}
	var faults []error
	for _, name := range names {
		f, err := load(fsys, name, publisher)
		if err == nil {
			if _, taken := set[f.Ref()]; taken {
				err = fmt.Errorf("another file holds %s too", f.Ref())
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("form %s: %w", name, err))
			continue
		}
		set[f.Ref()] = f
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return set, nil
}

func load(fsys fs.FS, name string, publisher ed25519.PublicKey) (Form, error) {
	toml, err := read(fsys, name)
	if err != nil {
		return Form{}, err
	}
	sig, err := read(fsys, name+SignatureSuffix)
	if err != nil {
		return Form{}, fmt.Errorf("its signature: %w", err)
	}
	if err := Verify(publisher, toml, sig); err != nil {
		return Form{}, err
	}
	return Parse(toml)
}

// read returns a file of at most strict.MaxSize bytes.
func read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, strict.MaxSize+1))
	if err == nil && len(b) > strict.MaxSize {
		err = fmt.Errorf("%s exceeds %d bytes", name, strict.MaxSize)
	}
	return b, err
}

//go:embed forms
var shipped embed.FS

// Shipped returns the forms that are built in, checked against the publisher's key that is built in beside them.
func Shipped() (Set, error) {
	dir, err := fs.Sub(shipped, "forms")
	if err != nil {
		return nil, fmt.Errorf("shipped forms: %w", err)
	}
	text, err := read(dir, "publisher.pub.pem")
	if err != nil {
		return nil, fmt.Errorf("shipped forms: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("shipped forms: the publisher's key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("shipped forms: the publisher's key: %w", err)
	}
	publisher, _ := key.(ed25519.PublicKey) // Verify refuses any other
	set, err := Load(dir, publisher)
	if err != nil {
		return nil, fmt.Errorf("shipped forms: %w", err)
	}
	return set, nil
}
