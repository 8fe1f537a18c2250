package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Files are paths of files in PEM.
type Files struct {
	Cert string // the certificate, first, and its chain
	Key  string // its key, not encrypted
	CA   string // authorities whose client certificates are believed; "": no client is asked for one
}

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

// maxFile bounds what is read of a file.
const maxFile = 4 << 20

// read is what the files hold.
type read struct {
	cert, key, ca []byte
	keyMode       fs.FileMode
}

func (r read) same(other read) bool {
	return bytes.Equal(r.cert, other.cert) && bytes.Equal(r.key, other.key) && bytes.Equal(r.ca, other.ca)
}

func (f Files) read() (r read, err error) {
	var errs []error
	one := func(path string, into *[]byte) fs.FileMode {
		text, mode, err := readFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("certs: read %s: %w", path, err))
		}
		*into = text
		return mode
	}
	one(f.Cert, &r.cert)
	r.keyMode = one(f.Key, &r.key)
	if f.CA != "" {
		one(f.CA, &r.ca)
	}
	return r, errors.Join(errs...)
}

// readFile reads a regular file, or one that a link leads to: a pipe might never answer.
func readFile(path string) (text []byte, mode fs.FileMode, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err == nil && len(text) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return text, info.Mode(), err
}

// bare is err without the path that it is about.
func bare(err error) error {
	var about *fs.PathError
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}

// pair is what can be served with.
type pair struct {
	cert tls.Certificate
	leaf *x509.Certificate
	ca   *x509.CertPool // nil: none
}

// check makes a pair of what the files hold. Its error names each file and what is wrong with it, all of it; warnings are what an operator should look at. No text shows
// anything of a key.
func (f Files) check(r read, now time.Time) (p pair, warnings []string, err error) {
	var errs []error
	wrong := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("certs: %s: "+format, append([]any{path}, args...)...))
	}
	chain, err := certificates(r.cert)
	switch {
	case err != nil:
		wrong(f.Cert, "%w", err)
	case len(chain) == 0:
		wrong(f.Cert, "no certificate in PEM")
	}
	key, err := privateKey(r.key)
	if err != nil {
		wrong(f.Key, "%w", err)
	}
	if key != nil && len(chain) > 0 {
		switch at := belongs(key, chain); {
		case at > 0:
			wrong(f.Cert, "the certificate of the key is number %d: want it first, then its chain", at+1)
		case at < 0:
			wrong(f.Cert, "is not the certificate of the key in %s", f.Key)
		}
	}
	if len(chain) > 0 {
		p.leaf = chain[0]
		if err := usable(p.leaf, now); err != nil {
			wrong(f.Cert, "%w", err)
		} else if left := p.leaf.NotAfter.Sub(now); left < soon {
			warnings = append(warnings, fmt.Sprintf("%s: the certificate expires in %d days, at %s", f.Cert, int(left.Hours()/24), p.leaf.NotAfter.UTC().Format(time.RFC3339)))
		}
		p.cert.PrivateKey, p.cert.Leaf = key, p.leaf
		for i, c := range chain {
			if i > 0 && now.After(c.NotAfter) {
				warnings = append(warnings, fmt.Sprintf("%s: certificate number %d, of the chain, expired at %s", f.Cert, i+1, c.NotAfter.UTC().Format(time.RFC3339)))
			}
			p.cert.Certificate = append(p.cert.Certificate, c.Raw)
		}
	}
	if f.CA != "" {
		var more []string
		if p.ca, more, err = authorities(f.CA, r.ca, now); err != nil {
			wrong(f.CA, "%w", err)
		}
		warnings = append(warnings, more...)
	}
	if r.keyMode.Perm()&0o007 != 0 {
		warnings = append(warnings, fmt.Sprintf("%s: the file has mode %04o, everybody on the machine may use the key: give it 0600 or 0640", f.Key, r.keyMode.Perm()))
	}
	return p, warnings, errors.Join(errs...)
}

// usable says why clients would not take a certificate.
func usable(leaf *x509.Certificate, now time.Time) error {
	var errs []error
	if now.After(leaf.NotAfter) {
		errs = append(errs, fmt.Errorf("the certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	if now.Before(leaf.NotBefore) {
		errs = append(errs, fmt.Errorf("the certificate is not valid before %s: is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		errs = append(errs, errors.New("the certificate names its host in the common name only, which no client takes: want a subject alternative name"))
	}
	uses := leaf.ExtKeyUsage
	if len(uses)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(uses, x509.ExtKeyUsageServerAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny) {
		errs = append(errs, errors.New("the certificate is not for servers: want serverAuth among its extended key usages"))
	}
	return errors.Join(errs...)
}

// certificates are those of a text in PEM, in their order.
func certificates(text []byte) (all []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate number %d is damaged: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
}

// privateKey is the first key of a text in PEM: PKCS #8, PKCS #1 or SEC 1.
func privateKey(text []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("no private key in PEM")
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errors.New("the key is encrypted: want it without a password, in a file that only the service may read")
		}
		if block.Type != "PRIVATE KEY" && !strings.HasSuffix(block.Type, " PRIVATE KEY") {
			continue // the parameters of a curve, a certificate
		}
		for _, parse := range []func([]byte) (any, error){
			x509.ParsePKCS8PrivateKey,
			func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
			func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		} {
			if key, err := parse(block.Bytes); err == nil {
				if signer, ok := key.(crypto.Signer); ok {
					return signer, nil
				}
			}
		}
		return nil, errors.New("the key is damaged, or of a kind that TLS does not know")
	}
}

// belongs is the place of the certificate of a key in a chain; -1: it is not there.
func belongs(key crypto.Signer, chain []*x509.Certificate) int {
	for i, c := range chain {
		if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(c.PublicKey) {
			return i
		}
	}
	return -1
}

func authorities(path string, text []byte, now time.Time) (pool *x509.CertPool, warnings []string, err error) {
	all, err := certificates(text)
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		return nil, nil, errors.New("no certificate in PEM")
	}
	pool = x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
		if now.After(c.NotAfter) {
			warnings = append(warnings, fmt.Sprintf("%s: the authority %q expired at %s: no client of it is believed", path, c.Subject.CommonName, c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	return pool, warnings, nil
}
