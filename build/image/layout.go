package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is what to make.
type image struct {
	Version   string
	Revision  string // empty: no label
	Created   time.Time
	Reference string            // that signatures name
	Key       *ecdsa.PrivateKey // nil: no signatures
	Programs  []program
}

// program is the executable for one architecture of Linux.
type program struct {
	Arch string
	File string
}

// write makes a new layout in dir, whole or not at all, and returns the digest of the index.
func (i image) write(dir string) (digest.Digest, error) {
	next := filepath.Clean(dir) + ".new"
	if err := os.RemoveAll(next); err != nil {
		return "", fmt.Errorf("image: remove %s: %w", next, err)
	}
	if err := os.MkdirAll(filepath.Join(next, "blobs", "sha256"), 0o750); err != nil {
		return "", fmt.Errorf("image: make layout: %w", err)
	}
	d, err := i.fill(&layout{dir: next})
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(next))
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("image: replace layout: %w", err)
	}
	if err := os.Rename(next, dir); err != nil {
		return "", fmt.Errorf("image: replace layout: %w", err)
	}
	return d, nil
}

func (i image) fill(l *layout) (digest.Digest, error) {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Annotations: i.labels()}
	var referrers []v1.Descriptor
	for _, p := range i.Programs {
		d, err := i.one(l, p)
		if err != nil {
			return "", err
		}
		bill, err := i.attachBill(l, p, d)
		if err != nil {
			return "", err
		}
		index.Manifests, referrers = append(index.Manifests, d), append(referrers, bill)
	}
	whole, err := l.json(v1.MediaTypeImageIndex, index)
	if err != nil {
		return "", err
	}
	named := whole
	named.Annotations = map[string]string{v1.AnnotationRefName: layoutTag(i.Version)}
	listed := append([]v1.Descriptor{named}, referrers...)
	if i.Key != nil {
		for _, d := range append([]v1.Descriptor{whole}, index.Manifests...) {
			signature, err := i.sign(l, d)
			if err != nil {
				return "", err
			}
			listed = append(listed, signature)
		}
	}
	// Referrers are listed, without a name, for the tools that find them in a layout so.
	text, err := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: listed})
	if err != nil {
		return "", fmt.Errorf("image: encode index.json: %w", err)
	}
	return whole.Digest, errors.Join(l.file("index.json", text), l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)))
}

// one writes the image of one architecture.
func (i image) one(l *layout, p program) (v1.Descriptor, error) {
	compressed, plain, err := layer(p.File, i.Created)
	if err != nil {
		return v1.Descriptor{}, err
	}
	content, err := l.blob(v1.MediaTypeImageLayerGzip, compressed)
	if err != nil {
		return v1.Descriptor{}, err
	}
	platform := v1.Platform{OS: "linux", Architecture: p.Arch}
	config, err := l.json(v1.MediaTypeImageConfig, v1.Image{
		Created:  &i.Created,
		Platform: platform,
		Config: v1.ImageConfig{
			User:         fmt.Sprintf("%d:%d", uid, uid),
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			Env:          []string{"PATH=/usr/bin"},
			Entrypoint:   []string{"/usr/bin/holdfast"},
			Cmd:          []string{"serve", "/etc/holdfast/config.json"},
			WorkingDir:   "/",
			Labels:       i.labels(),
			StopSignal:   "SIGTERM",
		},
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{plain}},
		History: []v1.History{{Created: &i.Created, CreatedBy: "build/image"}},
	})
	if err != nil {
		return v1.Descriptor{}, err
	}
	d, err := l.json(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config, Layers: []v1.Descriptor{content}, Annotations: i.labels(),
	})
	d.Platform = &platform
	return d, err
}

// labels are those of the image spec's annotations.
func (i image) labels() map[string]string {
	all := map[string]string{
		v1.AnnotationTitle:       "holdfast",
		v1.AnnotationDescription: "An OCI registry that runs as any number of replicas over one S3 bucket",
		v1.AnnotationVersion:     i.Version,
		v1.AnnotationCreated:     i.Created.Format(time.RFC3339),
		v1.AnnotationLicenses:    "Apache-2.0",
	}
	if i.Revision != "" {
		all[v1.AnnotationRevision] = i.Revision
	}
	return all
}

// attach writes an artifact of one blob that refers to subject.
func (l *layout) attach(subject v1.Descriptor, artifactType string, config, content v1.Descriptor) (v1.Descriptor, error) {
	subject.Platform, subject.Annotations = nil, nil
	d, err := l.json(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: config, Layers: []v1.Descriptor{content}, Subject: &subject,
	})
	d.ArtifactType = artifactType
	return d, err
}

// layoutTag is a version as a tag: "+" of a semantic version is no character of tags.
func layoutTag(version string) string { return strings.ReplaceAll(version, "+", "_") }

// layout is an OCI layout that is being written.
type layout struct{ dir string }

func (l *layout) json(mediaType string, v any) (v1.Descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("image: encode %s: %w", mediaType, err)
	}
	return l.blob(mediaType, text)
}

func (l *layout) blob(mediaType string, body []byte) (v1.Descriptor, error) {
	d := digest.FromBytes(body)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}, l.file(filepath.Join("blobs", "sha256", d.Encoded()), body)
}

func (l *layout) file(name string, body []byte) error {
	if err := os.WriteFile(filepath.Join(l.dir, name), body, 0o600); err != nil {
		return fmt.Errorf("image: write %s: %w", name, err)
	}
	return nil
}
