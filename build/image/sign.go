package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// What cosign gives a signature that is a referrer.
const (
	signatureType       = "application/vnd.dev.cosign.artifact.sig.v1+json"
	payloadType         = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// payload is what is signed: the "simple signing" format of containers/image.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest digest.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]string `json:"optional"`
}

// readKey reads the private key. It must not be one that others of the machine can read.
func readKey(file string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("image: read key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("image: read key: %s has mode %04o: give it 0600", file, info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("image: read key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("image: read key: not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("image: read key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("image: read key: not an ECDSA key of P-256: make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
	}
	return key, nil
}

// sign writes a signature of d as its referrer, named in the layout by the tag by which older cosigns find it.
func (i image) sign(l *layout, d v1.Descriptor) (v1.Descriptor, error) {
	var p payload
	p.Critical.Identity.Reference = i.Reference
	p.Critical.Image.Digest = d.Digest
	p.Critical.Type = "cosign container image signature"
	text, err := json.Marshal(p)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("image: encode what is signed: %w", err)
	}
	sum := sha256.Sum256(text)
	signature, err := ecdsa.SignASN1(rand.Reader, i.Key, sum[:])
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("image: sign %s: %w", d.Digest, err)
	}
	content, err := l.blob(payloadType, text)
	if err != nil {
		return v1.Descriptor{}, err
	}
	content.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(signature)}
	config, err := l.json(v1.MediaTypeImageConfig, v1.Image{RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{content.Digest}}})
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := l.attach(d, signatureType, config, content)
	manifest.Annotations = map[string]string{v1.AnnotationRefName: "sha256-" + d.Digest.Encoded() + ".sig"}
	return manifest, err
}
