package hd1

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"

	"github.com/veraison/go-cose"
)

// Issue signs d for p and returns the text of its code. Of p count the name, the year of birth, and the QID
// where there is one; d.Tail is the last four digits of the card. One of the two should be there, or the
// person's bare code is not recognised later. The answers are bool, int, int64 or string; whether they fit
// the form is the caller's to check. The errors name what is wrong and hold nothing of a person.
func Issue(key ed25519.PrivateKey, p claim.Person, d claim.Declaration) (string, error) {
	b := body{
		Form: d.Form + "/" + strconv.Itoa(d.Version), Answers: map[string]any{}, Name: claim.Text(p.Name),
		QID: digits(p.QID), Tail: digits(d.Tail), Declarer: claim.Text(d.Declarer), Plate: claim.Text(d.Plate),
	}
	b.Year, _ = strconv.Atoi(p.Year())
	for id, a := range d.Answers {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		b.Answers[id] = a
	}
	if err := checkBody(b, d); err != nil {
		return "", fmt.Errorf("issue declaration: %w", err)
	}
	for _, name := range names(b.Name) {
		b.Name = name
		text, err := sign(key, payload{Expires: d.Expires.Unix(), Issued: d.Issued.Unix(), Body: b})
		if err != nil || len(text) <= MaxText {
			return text, err
		}
	}
	return "", fmt.Errorf("issue declaration: even with a short name it is longer than the %d characters of a version-10-M code", MaxText)
}

// checkBody finds what a reader would refuse, so that no code is issued that nobody can use.
func checkBody(b body, d claim.Declaration) error {
	raw, err := encoding.Marshal(payload{Expires: d.Expires.Unix(), Issued: d.Issued.Unix(), Body: b})
	if err != nil {
		return errors.New("its answers cannot be written")
	}
	_, err = read(raw)
	return err
}

// names returns shorter and shorter ways to write a name.
func names(name string) []string {
	folded := []rune(claim.Fold(name))
	list := []string{name, string(folded)}
	for n := len(folded) - 1; n >= 4; n-- {
		list = append(list, string(folded[:n])+"…")
	}
	return list
}

func sign(key ed25519.PrivateKey, p payload) (string, error) {
	raw, err := encoding.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode declaration: %w", err)
	}
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key)
	if err != nil {
		return "", fmt.Errorf("sign declaration: %w", err)
	}
	headers := cose.Headers{Protected: cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA,
		cose.HeaderLabelKeyID:     keyID(key.Public().(ed25519.PublicKey)),
	}}
	msg, err := cose.Sign1(nil, signer, headers, raw, nil)
	if err != nil {
		return "", fmt.Errorf("sign declaration: %w", err)
	}
	return Prefix + envelope.Encode45(deflate(msg)), nil
}
