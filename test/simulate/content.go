package simulate

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// blobBytes is the content of a blob of that name. "L+" begins as "L" does, for the first sharedBytes.
func blobBytes(name string) string {
	if of, ends := strings.CutSuffix(name, "+"); ends {
		return blobBytes(of)[:sharedBytes] + " has another end"
	}
	return "the content of " + name + "; " + strings.Repeat(name, 8)
}

const sharedBytes = 20

func blobDigest(name string) digest.Digest { return digest.FromString(blobBytes(name)) }

// Manifest is a manifest that a scenario pushes. Its body follows from the fields.
type Manifest struct {
	Name     string
	Blobs    []string    // the first is the config; none in an index
	Children []*Manifest // of an index
	Subject  *Manifest
	Pad      int // bytes of an annotation, to make it large

	once   sync.Once
	body   []byte
	digest digest.Digest
}

// image is a manifest of a config, which is named after it, and layers.
func image(name string, layers ...string) *Manifest {
	return &Manifest{Name: name, Blobs: append([]string{"C" + name}, layers...)}
}

// Body returns the manifest's bytes. The fields stay as they are from then on.
func (m *Manifest) Body() []byte {
	m.once.Do(func() {
		m.body = m.write()
		m.digest = digest.FromBytes(m.body)
	})
	return m.body
}

// Digest returns the manifest's digest.
func (m *Manifest) Digest() digest.Digest {
	m.Body()
	return m.digest
}

func (m *Manifest) write() []byte {
	doc := map[string]any{"schemaVersion": 2, "annotations": map[string]string{"name": m.Name, "pad": strings.Repeat("x", m.Pad)}}
	if m.Subject != nil {
		doc["subject"] = m.Subject.descriptor()
	}
	if len(m.Children) > 0 {
		var list []oci.Descriptor
		for _, c := range m.Children {
			list = append(list, c.descriptor())
		}
		doc["mediaType"], doc["manifests"] = oci.MediaTypeImageIndex, list
	} else {
		layers := []oci.Descriptor{}
		for _, name := range m.Blobs[1:] {
			layers = append(layers, blobDescriptor(name))
		}
		doc["mediaType"], doc["config"], doc["layers"] = oci.MediaTypeImageManifest, blobDescriptor(m.Blobs[0]), layers
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("simulate: a manifest that cannot be written: %v", err))
	}
	return body
}

func (m *Manifest) descriptor() oci.Descriptor {
	mediaType := oci.MediaTypeImageManifest
	if len(m.Children) > 0 {
		mediaType = oci.MediaTypeImageIndex
	}
	return oci.Descriptor{MediaType: mediaType, Digest: m.Digest(), Size: int64(len(m.Body()))}
}

func blobDescriptor(name string) oci.Descriptor {
	return oci.Descriptor{MediaType: "application/octet-stream", Digest: blobDigest(name), Size: int64(len(blobBytes(name)))}
}
