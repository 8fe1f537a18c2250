// Package movetest gives tests of moves a registry in memory, a set of images that has all that images may have, and a look at whether two registries hold the same.
package movetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/move"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// Site is a registry over stores in memory.
type Site struct {
	*registry.Local
	Records record.Store
	Data    data.Store
}

// New returns an empty site, whose records go through wrap, if that is not nil.
func New(t testing.TB, wrap func(record.Store) record.Store) *Site {
	t.Helper()
	s := &Site{Records: recordmem.New(recordmem.Config{Clock: ticking()}), Data: datamem.New(datamem.Config{})}
	if wrap != nil {
		s.Records = wrap(s.Records)
	}
	var err error
	if s.Local, err = registry.New(t.Context(), s.Records, s.Data, registry.Config{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ticking is a clock that goes on by a millisecond each time that it is looked at, so that no two tags are set at the same.
func ticking() func() time.Time {
	begun := time.Now()
	var looks atomic.Int64
	return func() time.Time { return begun.Add(time.Duration(looks.Add(1)) * time.Millisecond) }
}

// Store is the site as a store of a backup.
func (s *Site) Store() move.Store {
	return move.Store{Registry: s.Local, Records: format.Store{Records: s.Records, Ages: format.DefaultAges()}}
}

// Image is a manifest with what it refers to; it is pushed after those that stand before it.
type Image struct {
	Repository oci.Repository
	Tags       []oci.Tag
	MediaType  string
	Body       []byte
	Digest     oci.Digest
	Blobs      [][]byte
	Child      bool // of an index of the same repository
}

// Images returns n images in n/4+1 repositories: with layers that they share, every tenth an index of two, with a referrer to it, every seventh without a tag, every
// ninth an artifact; the last in Docker's format and with an empty layer.
func Images(n int) []Image { return Others(0, n) }

// Others are Images that have nothing in common with those of another seed.
func Others(seed uint64, n int) []Image {
	r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // G404: the same each time
	bytesOf := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(r.Uint32()) //nolint:gosec // G115: any byte will do
		}
		return b
	}
	var shared [][]byte
	for i := range 5 {
		shared = append(shared, bytesOf(1000*(i+1)))
	}
	var out []Image
	for i := range n {
		repo := oci.Repository(fmt.Sprintf("team-%d/app", i%(n/4+1)))
		tags := []oci.Tag{oci.Tag(fmt.Sprintf("v%d", i))}
		if i%7 == 3 {
			tags = nil
		}
		blobs := [][]byte{fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","n":%d}`, i), shared[i%5], bytesOf(100 + r.IntN(5000))}
		switch {
		case i == n-1:
			out = append(out, image(repo, tags, oci.MediaTypeDockerManifest, "", append(blobs, []byte{}), nil))
		case i%10 == 5:
			a := image(repo, nil, v1.MediaTypeImageManifest, "", blobs, nil)
			b := image(repo, nil, v1.MediaTypeImageManifest, "", [][]byte{fmt.Appendf(nil, `{"architecture":"arm64","os":"linux","n":%d}`, i), shared[0]}, nil)
			a.Child, b.Child = true, true
			index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []oci.Descriptor{a.descriptor(), b.descriptor()}}
			index.SchemaVersion = 2
			top := sealed(Image{Repository: repo, Tags: append(tags, "latest"), MediaType: v1.MediaTypeImageIndex}, index)
			subject := top.descriptor()
			out = append(out, a, b, top, image(repo, nil, v1.MediaTypeImageManifest, "application/vnd.example.signature", [][]byte{[]byte("{}"), bytesOf(64)}, &subject))
		case i%9 == 4:
			out = append(out, image(repo, tags, v1.MediaTypeImageManifest, "application/vnd.example.chart", blobs, nil))
		default:
			out = append(out, image(repo, tags, v1.MediaTypeImageManifest, "", blobs, nil))
		}
	}
	return out
}

func (i Image) descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: i.MediaType, Digest: i.Digest, Size: int64(len(i.Body))}
}

func image(repo oci.Repository, tags []oci.Tag, mediaType, artifactType string, blobs [][]byte, subject *oci.Descriptor) Image {
	config, layer := v1.MediaTypeImageConfig, v1.MediaTypeImageLayerGzip
	if mediaType == oci.MediaTypeDockerManifest {
		config, layer = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	if artifactType != "" {
		config, layer = v1.MediaTypeEmptyJSON, "application/octet-stream"
		blobs[0] = []byte("{}")
	}
	m := v1.Manifest{MediaType: mediaType, ArtifactType: artifactType, Subject: subject, Config: blobDescriptor(config, blobs[0])}
	m.SchemaVersion = 2
	for _, b := range blobs[1:] {
		m.Layers = append(m.Layers, blobDescriptor(layer, b))
	}
	return sealed(Image{Repository: repo, Tags: tags, MediaType: mediaType, Blobs: blobs}, m)
}

func sealed(i Image, manifest any) Image {
	i.Body, _ = json.Marshal(manifest)
	i.Digest = digest.FromBytes(i.Body)
	return i
}

func blobDescriptor(mediaType string, b []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// Push pushes an image.
func Push(t testing.TB, to registry.Registry, i Image) {
	t.Helper()
	for _, b := range i.Blobs {
		if err := to.PushBlob(t.Context(), i.Repository, digest.FromBytes(b), bytes.NewReader(b), int64(len(b))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := to.PushManifest(t.Context(), i.Repository, registry.Push{ContentType: i.MediaType, Body: i.Body, Digest: i.Digest, Tags: i.Tags}); err != nil {
		t.Fatal(err)
	}
}

// Check fails the test unless a registry has all images, under the prefix, byte for byte, with their tags and referrers.
func Check(t testing.TB, in registry.Registry, prefix string, images []Image) {
	t.Helper()
	tags := map[oci.Repository]map[oci.Tag]oci.Digest{}
	for _, i := range images {
		repo := oci.Repository(prefix) + i.Repository
		stored, err := in.Resolve(t.Context(), repo, oci.Reference{Digest: i.Digest})
		if err != nil || !bytes.Equal(stored.Body, i.Body) || stored.MediaType != i.MediaType {
			t.Errorf("%s@%s: %v, %v", repo, i.Digest, stored, err)
			continue
		}
		for _, b := range i.Blobs {
			blob, err := in.Blob(t.Context(), repo, digest.FromBytes(b))
			if err != nil {
				t.Errorf("%s: blob %s: %v", repo, digest.FromBytes(b), err)
				continue
			}
			r, err := blob.Bytes.Open(t.Context(), 0, blob.Size)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: blob %s is %d bytes, not %d: %v", repo, digest.FromBytes(b), len(got), len(b), err)
			}
			_ = r.Close()
		}
		if tags[repo] == nil {
			tags[repo] = map[oci.Tag]oci.Digest{}
		}
		for _, tag := range i.Tags {
			tags[repo][tag] = i.Digest
		}
		if m, err := oci.ParseManifest(i.MediaType, i.Body); err != nil {
			t.Fatal(err)
		} else if m.Subject != nil {
			list, err := in.Referrers(t.Context(), repo, m.Subject.Digest)
			if err != nil || !slices.ContainsFunc(list, func(d oci.Descriptor) bool { return d.Digest == i.Digest }) {
				t.Errorf("%s does not list %s as a referrer of %s: %v", repo, i.Digest, m.Subject.Digest, err)
			}
		}
	}
	for repo, want := range tags {
		page, err := in.Tags(t.Context(), repo, "", 10000)
		if err != nil || len(page.Names) != len(want) {
			t.Errorf("%s has the tags %v, not %d: %v", repo, page.Names, len(want), err)
		}
		for tag, d := range want {
			if stored, err := in.Resolve(t.Context(), repo, oci.Reference{Tag: tag}); err != nil || stored.Digest != d {
				t.Errorf("%s:%s is %v, not %s: %v", repo, tag, stored, d, err)
			}
		}
	}
}
