package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// testImage packs this test's own executable, which has build information as the program has.
func testImage(t *testing.T) image {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return image{
		Version: "v1.2.3+a", Revision: "abc", Created: time.Unix(1_700_000_000, 0).UTC(), Reference: "registry.example.com/holdfast",
		Programs: []program{{"amd64", self}, {"arm64", self}},
	}
}

func writeImage(t *testing.T, i image) (dir string, d digest.Digest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "layout")
	d, err := i.write(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, d
}

func TestSameInputsGiveTheSameLayout(t *testing.T) {
	i := testImage(t)
	i.Programs = i.Programs[:1]
	one, a := writeImage(t, i)
	two, b := writeImage(t, i)
	if a != b {
		t.Errorf("two builds gave %s and %s", a, b)
	}
	if x, y := content(t, one, "index.json"), content(t, two, "index.json"); !bytes.Equal(x, y) {
		t.Errorf("two builds list\n%s\n%s", x, y)
	}
	i.Version = "v1.2.4"
	if _, c := writeImage(t, i); a == c {
		t.Error("another version has the same digest")
	}
}

func TestLayoutIsWhole(t *testing.T) {
	dir, d := writeImage(t, testImage(t))
	var top, index v1.Index
	decode(t, content(t, dir, "index.json"), &top)
	if got := top.Manifests[0]; got.Digest != d || got.Annotations[v1.AnnotationRefName] != "v1.2.3_a" {
		t.Errorf("index.json begins with %+v, want %s as v1.2.3_a", got, d)
	}
	decode(t, blob(t, dir, top.Manifests[0]), &index)
	if len(index.Manifests) != 2 || len(top.Manifests) != 3 {
		t.Fatalf("the index has %d images and the layout lists %d manifests, want 2, and 3 with the bills", len(index.Manifests), len(top.Manifests))
	}
	for n, d := range index.Manifests {
		var m, attached v1.Manifest
		var config v1.Image
		var bill spdx
		decode(t, blob(t, dir, d), &m)
		decode(t, blob(t, dir, m.Config), &config)
		if config.Config.User != "65532:65532" || config.Architecture != []string{"amd64", "arm64"}[n] || config.Config.Labels[v1.AnnotationRevision] != "abc" {
			t.Errorf("image %d has the configuration %+v", n, config)
		}
		checkLayer(t, blob(t, dir, m.Layers[0]), config.RootFS.DiffIDs[0])
		decode(t, blob(t, dir, top.Manifests[1+n]), &attached)
		if attached.Subject.Digest != d.Digest || attached.ArtifactType != spdxType {
			t.Errorf("the bill of image %d refers to %s as %s, want %s", n, attached.Subject.Digest, attached.ArtifactType, d.Digest)
		}
		decode(t, blob(t, dir, attached.Layers[0]), &bill)
		if text := string(blob(t, dir, attached.Layers[0])); !strings.Contains(text, "pkg:golang/github.com/opencontainers/go-digest@v1.0.0?checksum=h1") || bill.Version != "SPDX-2.3" {
			t.Errorf("the bill does not name a module that is in the program: %.400s", text)
		}
	}
}

func checkLayer(t *testing.T, compressed []byte, want digest.Digest) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	sum := digest.Canonical.Digester()
	files := tar.NewReader(io.TeeReader(z, sum.Hash()))
	found := map[string][]byte{}
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.ModTime.Unix() != 1_700_000_000 || h.Uname != "" {
			t.Errorf("%s belongs to %d %q, of %s", h.Name, h.Uid, h.Uname, h.ModTime)
		}
		if found[h.Name], err = io.ReadAll(files); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, io.TeeReader(z, sum.Hash())); err != nil {
		t.Fatal(err)
	}
	if sum.Digest() != want {
		t.Errorf("the archive is %s, and the configuration says %s", sum.Digest(), want)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(found["etc/ssl/certs/ca-certificates.crt"]) || bytes.Count(found["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN")) < 100 {
		t.Error("the image has no roots, or few")
	}
	if !strings.Contains(string(found["etc/passwd"]), ":65532:65532:") || len(found["usr/bin/holdfast"]) == 0 {
		t.Error("the image has no user, or no program")
	}
	if _, there := found["tmp/"]; !there {
		t.Error("the image has no /tmp")
	}
}

// Every signature is checked by openssl, which shares no code with what made it.
func TestSignaturesVerify(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed: run scripts/tools.sh cluster")
	}
	i := testImage(t)
	work := t.TempDir()
	keyFile, publicFile := newKey(t, work)
	if i.Key, err = readKey(keyFile); err != nil {
		t.Fatal(err)
	}
	dir, whole := writeImage(t, i)
	var top v1.Index
	decode(t, content(t, dir, "index.json"), &top)
	signed := map[digest.Digest]bool{}
	for _, d := range top.Manifests {
		if d.ArtifactType != signatureType {
			continue
		}
		var m v1.Manifest
		var p payload
		decode(t, blob(t, dir, d), &m)
		decode(t, blob(t, dir, m.Layers[0]), &p)
		if p.Critical.Image.Digest != m.Subject.Digest || p.Critical.Identity.Reference != i.Reference {
			t.Errorf("the signature of %s is about %+v", m.Subject.Digest, p.Critical)
		}
		if want := "sha256-" + m.Subject.Digest.Encoded() + ".sig"; d.Annotations[v1.AnnotationRefName] != want {
			t.Errorf("the signature is named %s, want %s", d.Annotations[v1.AnnotationRefName], want)
		}
		signature, err := base64.StdEncoding.DecodeString(m.Layers[0].Annotations[signatureAnnotation])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(work, "signature")
		if err := os.WriteFile(file, signature, 0o600); err != nil {
			t.Fatal(err)
		}
		verify := func(text []byte) error {
			cmd := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-verify", publicFile, "-signature", file)
			cmd.Stdin = bytes.NewReader(text)
			return cmd.Run()
		}
		text := blob(t, dir, m.Layers[0])
		if err := verify(text); err != nil {
			t.Errorf("openssl does not accept the signature of %s: %v", m.Subject.Digest, err)
		}
		if verify(append(text, ' ')) == nil {
			t.Error("openssl accepts the signature for another text")
		}
		signed[m.Subject.Digest] = true
	}
	if len(signed) != 3 || !signed[whole] {
		t.Errorf("signed are %v, want the index and both images", signed)
	}
}

func TestKeyThatOthersReadIsRefused(t *testing.T) {
	file, _ := newKey(t, t.TempDir())
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readKey(file); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a key with mode 0644 gives %v, want advice", err)
	}
}

func newKey(t *testing.T, dir string) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) string {
		file := filepath.Join(dir, name)
		if err := errors.Join(err, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write("key.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	return private, write("public.pem", "PUBLIC KEY", der, err)
}

func blob(t *testing.T, dir string, d v1.Descriptor) []byte {
	t.Helper()
	body := content(t, dir, filepath.Join("blobs", "sha256", d.Digest.Encoded()))
	if digest.FromBytes(body) != d.Digest || int64(len(body)) != d.Size {
		t.Fatalf("the blob %s has other bytes", d.Digest)
	}
	return body
}

func content(t *testing.T, dir, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
