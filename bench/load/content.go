package load

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"sync"
)

const (
	baseSize = 8 << 20
	tailSize = 32
)

// Content makes blobs. All are the same random bytes but for the last 32, which no two blobs have in common: their digests differ, and
// the hash of what is the same is computed once for each size. A registry that stores equal blobs once, as all do, gains nothing.
// Safe for concurrent use.
type Content struct {
	base []byte
	rand *rand.ChaCha8

	mu     sync.Mutex
	hashes map[int64][]byte // the state of SHA-256 before the tail, by size of the blob
}

// NewContent makes content from a seed; blobs of the same seed are the same in their order.
func NewContent(seed [32]byte) *Content {
	c := &Content{base: make([]byte, baseSize), rand: rand.NewChaCha8(seed), hashes: map[int64][]byte{}}
	_, _ = c.rand.Read(c.base) // never fails
	return c
}

// Blob is the content of one blob, or of one object.
type Blob struct {
	Digest string
	Size   int64
	base   []byte
	tail   [tailSize]byte
}

// Blob makes a blob of at least 32 bytes.
func (c *Content) Blob(size int64) (Blob, error) {
	b := Blob{Size: size, base: c.base}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < tailSize; i += 8 {
		binary.LittleEndian.PutUint64(b.tail[i:], c.rand.Uint64())
	}
	sum, err := c.before(size)
	if err != nil {
		return Blob{}, err
	}
	sum.Write(b.tail[:])
	b.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return b, nil
}

// before is the hash of a blob's bytes before its tail.
func (c *Content) before(size int64) (hash.Hash, error) {
	sum := sha256.New()
	state, ok := c.hashes[size]
	if ok {
		if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			return nil, fmt.Errorf("load: resume a hash: %w", err)
		}
		return sum, nil
	}
	if size < tailSize {
		return nil, fmt.Errorf("load: a blob of %d bytes: want at least %d", size, tailSize)
	}
	for rest := size - tailSize; rest > 0; {
		n := min(rest, baseSize)
		sum.Write(c.base[:n])
		rest -= n
	}
	state, err := sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("load: keep a hash: %w", err)
	}
	c.hashes[size] = state
	return sum, nil
}

// Blobs makes n blobs.
func (c *Content) Blobs(n int, size int64) ([]Blob, error) {
	blobs := make([]Blob, n)
	var err error
	for i := range blobs {
		if blobs[i], err = c.Blob(size); err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// Reader reads the blob from its beginning.
func (b Blob) Reader() io.Reader { return b.Section(0, b.Size) }

// Section reads n bytes of the blob from off on.
func (b Blob) Section(off, n int64) io.Reader { return &section{blob: b, off: off, end: off + n} }

type section struct {
	blob     Blob
	off, end int64
}

func (s *section) Read(p []byte) (int, error) {
	if s.off >= s.end {
		return 0, io.EOF
	}
	part := s.blob.at(s.off)
	n := copy(p, part[:min(int64(len(part)), s.end-s.off)])
	s.off += int64(n)
	return n, nil
}

// at is some bytes from off on, at least one.
func (b Blob) at(off int64) []byte {
	if start := b.Size - tailSize; off >= start {
		return b.tail[off-start:]
	}
	within := off % baseSize
	return b.base[within:min(baseSize, within+b.Size-tailSize-off)]
}

// The media types of what is pushed here.
const (
	ManifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Image is an image in one repository.
type Image struct {
	Config Blob
	Layers []Blob
}

// Image makes an image with n layers of the size.
func (c *Content) Image(n int, size int64) (Image, error) {
	config, err := c.Blob(1 << 10)
	if err != nil {
		return Image{}, err
	}
	layers, err := c.Blobs(n, size)
	return Image{config, layers}, err
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Manifest is a manifest with its digest.
type Manifest struct {
	Digest string
	Body   []byte
}

// Manifest is the image's manifest. Another note makes it another manifest.
func (i Image) Manifest(note string) (Manifest, error) { return i.about(note, nil) }

// Referrer is a manifest that refers to subject, with the image's blobs.
func (i Image) Referrer(note string, subject Manifest) (Manifest, error) {
	return i.about(note, &descriptor{ManifestType, subject.Digest, int64(len(subject.Body))})
}

func (i Image) about(note string, subject *descriptor) (Manifest, error) {
	m := manifest{SchemaVersion: 2, MediaType: ManifestType, Config: descriptor{configType, i.Config.Digest, i.Config.Size}, Subject: subject}
	for _, l := range i.Layers {
		m.Layers = append(m.Layers, descriptor{layerType, l.Digest, l.Size})
	}
	if note != "" {
		m.Annotations = map[string]string{"bench.note": note}
	}
	if subject != nil {
		m.ArtifactType = "application/vnd.bench.signature"
	}
	body, err := json.Marshal(m)
	if err != nil {
		return Manifest{}, fmt.Errorf("load: make a manifest: %w", err)
	}
	sum := sha256.Sum256(body)
	return Manifest{"sha256:" + hex.EncodeToString(sum[:]), body}, nil
}

// Equal says whether r gives exactly the blob's bytes.
func (b Blob) Equal(r io.Reader) (bool, error) {
	buf := make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := r.Read(buf)
		for got := buf[:n]; len(got) > 0; {
			if off >= b.Size {
				return false, nil
			}
			want := b.at(off)
			want = want[:min(len(want), len(got))]
			if !bytes.Equal(got[:len(want)], want) {
				return false, nil
			}
			got, off = got[len(want):], off+int64(len(want))
		}
		if err == io.EOF {
			return off == b.Size, nil
		}
		if err != nil {
			return false, err
		}
	}
}
