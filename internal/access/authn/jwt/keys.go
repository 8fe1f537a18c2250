package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// minRSABits is the shortest key of RSA that is taken.
const minRSABits = 2048

// key is a public key and what it may have signed by. That is fixed by the key: no token says how it is to be verified.
type key struct {
	id     string // "": of a file without ids
	public crypto.PublicKey
	algs   []jose.SignatureAlgorithm
}

// allAlgs are those that any key may have.
func allAlgs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512}
}

// parseKeys reads the public keys of a file: PEM with certificates or public keys, or a JWKS. Whether a certificate has expired is not looked at.
// Errors: a file without keys, with one that is too weak or of no kind that is known, or with a private key: nobody needs that here.
func parseKeys(text []byte) ([]key, error) {
	var keys []key
	var err error
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		keys, err = parseJWKS(trimmed)
	} else {
		keys, err = parsePEM(text)
	}
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no key")
	}
	return keys, err
}

func parseJWKS(text []byte) ([]key, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("it is no JWKS") // what is wrong may quote what is secret
	}
	var keys []key
	for i, one := range set.Keys {
		if one.Use == "enc" {
			continue
		}
		if !one.IsPublic() {
			return nil, fmt.Errorf("key %d is not a public key", i+1)
		}
		k, err := newKey(one.Key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if k.id = one.KeyID; one.Algorithm != "" {
			if !slices.Contains(k.algs, jose.SignatureAlgorithm(one.Algorithm)) {
				return nil, fmt.Errorf("key %d cannot have the algorithm that it says", i+1)
			}
			k.algs = []jose.SignatureAlgorithm{jose.SignatureAlgorithm(one.Algorithm)}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return keys, nil
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newKey(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
}

func parseBlock(block *pem.Block) (public crypto.PublicKey, err error) {
	switch block.Type {
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = c.PublicKey
		}
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it holds a %q, and not only certificates and public keys", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its %s cannot be read: %w", block.Type, err)
	}
	return public, nil
}

// newKey says what a key may have signed by.
func newKey(public crypto.PublicKey) (key, error) {
	k := key{public: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		if p.N.BitLen() < minRSABits {
			return k, fmt.Errorf("a key of RSA has %d bits, at least %d are needed", p.N.BitLen(), minRSABits)
		}
		k.algs = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			k.algs = []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			k.algs = []jose.SignatureAlgorithm{jose.ES384}
		case elliptic.P521():
			k.algs = []jose.SignatureAlgorithm{jose.ES512}
		default:
			return k, errors.New("a key of ECDSA is on none of P-256, P-384 and P-521")
		}
	case ed25519.PublicKey:
		k.algs = []jose.SignatureAlgorithm{jose.EdDSA}
	default:
		return k, errors.New("a key is of none of RSA, ECDSA and Ed25519")
	}
	return k, nil
}
