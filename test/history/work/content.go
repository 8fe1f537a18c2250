package work

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/test/history/call"
)

// blob is bytes that follow from a name.
type blob struct {
	bytes  []byte
	digest digest.Digest
}

func (b *blob) size() int64 { return int64(len(b.bytes)) }

// newBlob makes the size bytes of a name, which begin with the name.
func newBlob(name string, size int) *blob {
	b := make([]byte, size)
	n := copy(b, name+"\n")
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(b[n:]) // never fails
	return &blob{bytes: b, digest: digest.FromBytes(b)}
}

// image is a manifest and what it says.
type image struct {
	body   []byte
	digest string
	facts  call.Manifest
	blobs  []*blob
}

// parts are what an image is made of.
type parts struct {
	name    string // unique, or that of a manifest that everybody pushes
	config  *blob
	layers  []*blob
	subject *v1.Descriptor
	kind    string // artifactType; "": that of the config
	padding int
}

const (
	artifactConfig = "application/vnd.holdfast.history.config.v1+json"
	layerType      = "application/vnd.oci.image.layer.v1.tar"
)

func newImage(p parts) *image {
	m := v1.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    v1.MediaTypeImageManifest,
		ArtifactType: p.kind,
		Config:       v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: p.config.digest, Size: p.config.size()},
		Subject:      p.subject,
		Annotations:  map[string]string{"op": p.name},
	}
	shown := p.kind
	if p.subject != nil && p.kind == "" {
		m.Config.MediaType, shown = artifactConfig, artifactConfig
	}
	if p.padding > 0 {
		m.Annotations["padding"] = strings.Repeat("p", p.padding)
	}
	facts := call.Manifest{MediaType: m.MediaType, Annotations: m.Annotations, ArtifactType: shown, Blobs: []string{p.config.digest.String()}}
	if p.subject != nil {
		facts.Subject = p.subject.Digest.String()
	}
	m.Layers = []v1.Descriptor{} // not null
	for _, l := range p.layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: layerType, Digest: l.digest, Size: l.size()})
		facts.Blobs = append(facts.Blobs, l.digest.String())
	}
	i := seal(m, facts)
	i.blobs = append([]*blob{p.config}, p.layers...)
	return i
}

// newIndex returns an index of images.
func newIndex(name string, children ...*image) *image {
	x := v1.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   v1.MediaTypeImageIndex,
		Annotations: map[string]string{"op": name},
	}
	facts := call.Manifest{MediaType: x.MediaType, Annotations: x.Annotations}
	for _, c := range children {
		x.Manifests = append(x.Manifests, c.descriptor())
		facts.Children = append(facts.Children, c.digest)
	}
	return seal(x, facts)
}

func seal(manifest any, facts call.Manifest) *image {
	body, err := json.Marshal(manifest)
	if err != nil {
		panic(fmt.Sprintf("work: a manifest cannot be written: %v", err)) // a bug
	}
	facts.Size = int64(len(body))
	return &image{body: body, digest: digest.FromBytes(body).String(), facts: facts}
}

func (i *image) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: i.facts.MediaType, Digest: digest.Digest(i.digest), Size: i.facts.Size}
}
