package registrytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Replicas is how many registries over one store open returns.
const Replicas = 3

// Run runs the suite. open returns Replicas registries over one new, empty store: what one of them
// acknowledged, all of them show.
func Run(t *testing.T, open func(t *testing.T) []registry.Registry) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"a blob pushed at one replica is at all", (*suite).pushBlob},
		{"an upload goes on at other replicas", (*suite).uploadAcrossReplicas},
		{"an empty blob", (*suite).emptyBlob},
		{"a sha512 blob, announced and not", (*suite).sha512},
		{"a commit with the wrong digest leaves the upload", (*suite).wrongDigest},
		{"a commit repeated gives the same answer", (*suite).repeatedCommit},
		{"a chunk at the wrong place says the right one", (*suite).wrongOffset},
		{"of chunks sent at once one wins", (*suite).racingChunks},
		{"a cancelled upload is dead everywhere", (*suite).cancel},
		{"an upload id of another repository is unknown", (*suite).foreignUpload},
		{"ranges of a blob", (*suite).ranges},
		{"mounts", (*suite).mounts},
		{"the same blob pushed at once to many repositories", (*suite).racingPushes},
		{"a manifest by tag and digest, byte for byte", (*suite).manifest},
		{"a manifest with missing references names all of them", (*suite).missingReferences},
		{"a manifest with a wrong size", (*suite).wrongSize},
		{"an index needs its children", (*suite).index},
		{"a tag written at once by many is one of theirs", (*suite).racingTags},
		{"many tags in one push", (*suite).manyTags},
		{"a deleted tag leaves the manifest", (*suite).deleteTag},
		{"a deleted manifest takes its tags", (*suite).deleteManifest},
		{"a blob is deleted when nothing refers to it", (*suite).deleteBlob},
		{"what was deleted can be pushed again", (*suite).pushAgain},
		{"referrers", (*suite).referrers},
		{"tags in pages", (*suite).tagPages},
		{"repositories in pages, colliding names", (*suite).repositoryPages},
		{"what is not there", (*suite).unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&suite{T: t, replicas: open(t), rand: rand.New(rand.NewPCG(1, uint64(len(test.name))))})
		})
	}
}

type suite struct {
	*testing.T
	replicas []registry.Registry
	rand     *rand.Rand
	turn     int
}

// next is the replica whose turn it is: a round-robin load balancer.
func (s *suite) next() registry.Registry {
	s.turn++
	return s.replicas[s.turn%len(s.replicas)]
}

func (s *suite) ctx() context.Context { return s.Context() }

func (s *suite) content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(s.rand.Uint32())
	}
	return b
}

func (s *suite) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// push pushes content to a repository and returns its digest.
func (s *suite) push(repo oci.Repository, content []byte) oci.Digest {
	s.Helper()
	d := digest.FromBytes(content)
	s.check(s.next().PushBlob(s.ctx(), repo, d, bytes.NewReader(content), int64(len(content))))
	return d
}

// wantBlob checks that every replica serves exactly content.
func (s *suite) wantBlob(repo oci.Repository, d oci.Digest, content []byte) {
	s.Helper()
	for _, r := range s.replicas {
		stat, err := r.StatBlob(s.ctx(), repo, d)
		s.check(err)
		blob, err := r.Blob(s.ctx(), repo, d)
		s.check(err)
		if stat.Size != int64(len(content)) || blob.Size != stat.Size {
			s.Fatalf("sizes %d and %d, want %d", stat.Size, blob.Size, len(content))
		}
		if got := s.readBlob(blob, 0, blob.Size); !bytes.Equal(got, content) {
			s.Fatalf("%d bytes that are not the %d pushed", len(got), len(content))
		}
	}
}

func (s *suite) readBlob(blob *registry.Blob, offset, length int64) []byte {
	s.Helper()
	r, err := blob.Bytes.Open(s.ctx(), offset, length)
	s.check(err)
	got, err := io.ReadAll(r)
	s.check(err)
	s.check(r.Close())
	return got
}

// image is a manifest whose blobs were pushed.
type image struct {
	digest oci.Digest
	body   []byte
	layers []oci.Digest
}

const imageType = oci.MediaTypeImageManifest

// image pushes blobs for a manifest, and returns it without pushing it.
func (s *suite) image(repo oci.Repository, extra string) image {
	s.Helper()
	config, layer := s.content(20), s.content(100)
	c, l := s.push(repo, config), s.push(repo, layer)
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.example+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/octet-stream","digest":%q,"size":%d}]%s}`,
		imageType, c, len(config), l, len(layer), extra)
	return image{digest.FromBytes(body), body, []oci.Digest{c, l}}
}

// pushImage pushes an image under tags.
func (s *suite) pushImage(repo oci.Repository, extra string, tags ...oci.Tag) image {
	s.Helper()
	m := s.image(repo, extra)
	_, err := s.next().PushManifest(s.ctx(), repo, registry.Push{ContentType: imageType, Body: m.body, Tags: tags})
	s.check(err)
	return m
}

// wantManifest checks that every replica resolves a reference to exactly body.
func (s *suite) wantManifest(repo oci.Repository, ref oci.Reference, want image) {
	s.Helper()
	for _, r := range s.replicas {
		m, err := r.Resolve(s.ctx(), repo, ref)
		s.check(err)
		if m.Digest != want.digest || m.MediaType != imageType || !bytes.Equal(m.Body, want.body) {
			s.Fatalf("%s is %s %s, want %s %s", ref, m.MediaType, m.Digest, imageType, want.digest)
		}
	}
}

// wantError checks that every replica answers call with a code.
func (s *suite) wantError(want *oci.Error, call func(registry.Registry) error) {
	s.Helper()
	for _, r := range s.replicas {
		wantCode(s.T, want, call(r))
	}
}

func byTag(t oci.Tag) oci.Reference       { return oci.Reference{Tag: t} }
func byDigest(d oci.Digest) oci.Reference { return oci.Reference{Digest: d} }
