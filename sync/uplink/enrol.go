package uplink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gatepost/sync/wire"
)

// enrol claims the enrolment at the hub, until the hub has taken it. That the hub refuses it is a disagreement: a person
// must act, and meanwhile the entries stay here.
func (u *Uplink) enrol(ctx context.Context) error {
	if u.Enrolment == nil {
		return nil
	}
	claim, err := wire.NewClaim(u.Key, u.Enrolment)
	if err != nil {
		return err
	}
	_, err = u.exchange(ctx, http.MethodPost, wire.PathEnrol, claim)
	r := (*refusal)(nil)
	if errors.As(err, &r) && (r.Type == wire.ProblemEnrolment || r.Type == wire.ProblemSignature) {
		return disagree("the hub refuses this gate's enrolment: %s", r.Title)
	}
	if err != nil {
		return err
	}
	u.Log.Info("the hub has taken the enrolment")
	u.Enrolment = nil
	if u.OnEnrolled != nil {
		u.OnEnrolled()
	}
	return nil
}

// now is the time as of which certificates are checked.
func (o Options) now() time.Time {
	if now := time.Now(); now.After(o.Since) {
		return now
	}
	return o.Since
}

// checkPin returns an error unless the authority of the pin vouches for the hub, by a certificate among those that the
// hub shows.
func (o Options) checkPin(s tls.ConnectionState) error {
	hub, err := url.Parse(o.Hub)
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range s.PeerCertificates {
		if sum := sha256.Sum256(c.RawSubjectPublicKeyInfo); bytes.Equal(sum[:], o.Pin) {
			roots.AddCert(c)
			found = true
		} else {
			between.AddCert(c)
		}
	}
	if !found {
		return errors.New("the hub shows no certificate of the authority that this gate was enrolled with")
	}
	_, err = s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: o.now(),
		DNSName: hub.Hostname(), // not s.ServerName, which is empty for an address
	})
	if err != nil {
		return fmt.Errorf("hub's certificate: %w", err)
	}
	return nil
}
