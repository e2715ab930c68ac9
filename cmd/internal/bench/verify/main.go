// Bench-verify measures what reading and checking a health certificate costs beside the bare check of its signature: by
// turns, in one run, for both algorithms.
package main

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"slices"
	"time"

	"gatepost/cmd/internal/bench/report"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

const (
	rounds = 401
	batch  = 20 // checks a round
)

func main() {
	page := flag.String("update", "", "put the result into this Markdown `file`")
	flag.Parse()
	text, err := bench()
	if err == nil && *page != "" {
		err = report.Update(*page, "verify", text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-verify:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func bench() (string, error) {
	text := fmt.Sprintf("## A health certificate\n\n`make bench-verify`, %s: base45, zlib, CBOR, claims and signature, over the bare check of the signature (go-cose and Go's own\n"+
		"crypto); medians of %d rounds of %d by turns.\n\n| algorithm | bare check | whole | over it | goal |\n|---|---|---|---|---|\n", time.Now().Format(time.DateOnly), rounds, batch)
	ec, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err2 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	for _, a := range []struct {
		alg  cose.Algorithm
		key  crypto.Signer
		goal string
	}{{cose.AlgorithmES256, ec, "1.4"}, {cose.AlgorithmPS256, rs, "1.6"}} {
		bare, whole, ratio, err := measure(a.alg, a.key)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("| %s | %.1f µs | %.1f µs | %.2f | %s |\n", a.alg, bare, whole, ratio, a.goal)
	}
	return text, nil
}

// measure returns the microseconds of both, and the median of their ratios.
func measure(alg cose.Algorithm, key crypto.Signer) (bare, whole, ratio float64, err error) {
	code, msg, trust, err := issue(alg, key)
	if err != nil {
		return 0, 0, 0, err
	}
	v, err := cose.NewVerifier(alg, key.Public())
	if err != nil {
		return 0, 0, 0, err
	}
	var bares, wholes, ratios []float64
	for range rounds {
		began := time.Now()
		for range batch {
			if err := msg.Verify(nil, v); err != nil {
				return 0, 0, 0, err
			}
		}
		middle := time.Now()
		for range batch {
			if c := credential.Parse(code, trust); !c.Verified {
				return 0, 0, 0, errors.New(c.Detail)
			}
		}
		a, b := middle.Sub(began).Seconds()*1e6/batch, time.Since(middle).Seconds()*1e6/batch
		bares, wholes, ratios = append(bares, a), append(wholes, b), append(ratios, b/a)
	}
	for _, all := range [][]float64{bares, wholes, ratios} {
		slices.Sort(all)
	}
	return bares[rounds/2], wholes[rounds/2], ratios[rounds/2], nil
}

// issue signs a certificate of two doses, as long as real ones.
func issue(alg cose.Algorithm, key crypto.Signer) (code string, msg *cose.Sign1Message, trust claim.Trust, err error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", nil, trust, err
	}
	issuer, err := claim.NewIssuer(der)
	if err != nil {
		return "", nil, trust, err
	}
	msg = cose.NewSign1Message()
	msg.Headers.Protected.SetAlgorithm(alg)
	msg.Headers.Protected[cose.HeaderLabelKeyID] = issuer.ID[:8]
	if msg.Payload, err = cbor.Marshal(map[int]any{1: "VN", 4: 1_900_000_000, 6: 1_700_000_000, -260: map[int]any{1: map[string]any{
		"ver": "1.3.0", "nam": map[string]any{"fn": "Nguyễn", "gn": "Văn Đạt", "fnt": "NGUYEN", "gnt": "VAN<DAT"}, "dob": "1990-02-03",
		"v": []any{map[string]any{
			"ci": "URN:UVCI:01:VN:0123456789ABCDEF#K", "co": "VN", "dn": 2, "dt": "2021-10-05", "is": "Sở Y tế Mẫu", "ma": "ORG-100000000",
			"mp": "EU/1/20/0000", "sd": 2, "tg": "000000000", "vp": "0000000000",
		}},
	}}}); err != nil {
		return "", nil, trust, err
	}
	signer, err := cose.NewSigner(alg, key)
	if err != nil {
		return "", nil, trust, err
	}
	if err := msg.Sign(rand.Reader, nil, signer); err != nil {
		return "", nil, trust, err
	}
	raw, err := msg.MarshalCBOR()
	if err != nil {
		return "", nil, trust, err
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(raw); err != nil {
		return "", nil, trust, err
	}
	err = z.Close()
	return "HC1:" + envelope.Encode45(packed.Bytes()), msg, claim.Trust{Issuers: []claim.Issuer{issuer}}, err
}
