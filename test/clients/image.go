package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Image is an OCI layout on disk that holds one image or index.
type Image struct {
	Dir    string // of the layout
	Tag    string // its name in the layout's index.json
	Digest digest.Digest
}

// layout writes an OCI layout.
type layout struct {
	t   *testing.T
	dir string
}

// NewImage makes an image of n layers of random bytes, named "1" in its layout.
func NewImage(t *testing.T, n int) Image {
	t.Helper()
	l := newLayout(t)
	return l.finish(l.image("amd64", n))
}

// NewIndex makes an index of two images that share a layer, for two platforms.
func NewIndex(t *testing.T) Image {
	t.Helper()
	l := newLayout(t)
	return l.finish(l.json(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{l.image("amd64", 2), l.image("arm64", 1)},
	}))
}

// NewBigImage makes an image of one layer that has a file of size random bytes.
func NewBigImage(t *testing.T, size int64) Image {
	t.Helper()
	l := newLayout(t)
	file, err := os.Create(filepath.Join(l.dir, "layer"))
	if err != nil {
		t.Fatal(err)
	}
	sum := digest.Canonical.Digester()
	archive := tar.NewWriter(io.MultiWriter(file, sum.Hash()))
	err = archive.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: size})
	if err == nil {
		_, err = io.CopyN(archive, rand.Reader, size)
	}
	if err = errors.Join(err, archive.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	d := sum.Digest()
	if err := os.Rename(file.Name(), filepath.Join(l.dir, "blobs", "sha256", d.Encoded())); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(l.dir, "blobs", "sha256", d.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	config := v1.Image{
		Platform: v1.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{d}},
		Config:   v1.ImageConfig{Cmd: []string{"/none"}},
	}
	return l.finish(l.json(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: l.json(v1.MediaTypeImageConfig, config),
		Layers: []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: info.Size()}},
	}))
}

func newLayout(t *testing.T) *layout {
	t.Helper()
	l := &layout{t: t, dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o750); err != nil {
		t.Fatal(err)
	}
	l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return l
}

// image writes an image and returns its descriptor.
func (l *layout) image(arch string, n int) v1.Descriptor {
	l.t.Helper()
	created := time.Unix(1_700_000_000, 0).UTC()
	config := v1.Image{
		Created:  &created,
		Platform: v1.Platform{OS: "linux", Architecture: arch},
		RootFS:   v1.RootFS{Type: "layers"},
		Config:   v1.ImageConfig{Cmd: []string{"/none"}},
	}
	manifest := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for range n {
		plain := l.tar()
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		config.History = append(config.History, v1.History{Created: &created, CreatedBy: "test"})
		manifest.Layers = append(manifest.Layers, l.blob(v1.MediaTypeImageLayerGzip, l.gzip(plain)))
	}
	manifest.Config = l.json(v1.MediaTypeImageConfig, config)
	d := l.json(v1.MediaTypeImageManifest, manifest)
	d.Platform = &config.Platform
	return d
}

// finish writes index.json.
func (l *layout) finish(d v1.Descriptor) Image {
	l.t.Helper()
	const tag = "1"
	named := d
	named.Platform = nil
	named.Annotations = map[string]string{v1.AnnotationRefName: tag}
	text, err := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{named}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("index.json", text)
	return Image{Dir: l.dir, Tag: tag, Digest: d.Digest}
}

// tar returns an archive of one file of some 100 KiB that nothing can compress.
func (l *layout) tar() []byte {
	l.t.Helper()
	content := make([]byte, 100<<10)
	_, _ = rand.Read(content) // never fails
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file-" + rand.Text(), Mode: 0o644, Size: int64(len(content))}); err != nil {
		l.t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		l.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

func (l *layout) gzip(plain []byte) []byte {
	l.t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		l.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

func (l *layout) json(mediaType string, v any) v1.Descriptor {
	l.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(mediaType, text)
}

func (l *layout) blob(mediaType string, content []byte) v1.Descriptor {
	l.t.Helper()
	d := digest.FromBytes(content)
	l.write(filepath.Join("blobs", "sha256", d.Encoded()), content)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (l *layout) write(name string, content []byte) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o600); err != nil {
		l.t.Fatal(err)
	}
}
