package movetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/move"
	"holdfast/internal/oci"
)

func put(t testing.TB, content []byte, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Zot writes images as zot keeps them: a layout for each repository, in which of equal blobs only the first has its bytes: the others are hard links, or with
// placeholders empty files, as in a bucket. index.json names neither the children of an index nor anything twice. What zot keeps beside repositories is there as well.
func Zot(t testing.TB, dir string, placeholders bool, images []Image) {
	t.Helper()
	indexes := map[oci.Repository]*v1.Index{}
	first := map[string]string{}
	blob := func(repo oci.Repository, b []byte) {
		d := digest.FromBytes(b)
		path := filepath.Join(dir, string(repo), "blobs", "sha256", d.Encoded())
		at, there := first[d.Encoded()]
		_, err := os.Stat(path)
		switch {
		case err == nil:
		case there && placeholders:
			put(t, nil, path)
		case there:
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(at, path); err != nil {
				t.Fatal(err)
			}
		default:
			put(t, b, path)
			first[d.Encoded()] = path
		}
	}
	for _, i := range images {
		if indexes[i.Repository] == nil {
			indexes[i.Repository] = &v1.Index{Manifests: []oci.Descriptor{}}
			indexes[i.Repository].SchemaVersion = 2
			put(t, []byte(`{"imageLayoutVersion":"1.0.0"}`), dir, string(i.Repository), "oci-layout")
		}
		for _, b := range append(i.Blobs, i.Body) {
			blob(i.Repository, b)
		}
		index := indexes[i.Repository]
		for _, tag := range i.Tags {
			desc := i.descriptor()
			desc.Annotations = map[string]string{move.RefName: string(tag)}
			index.Manifests = append(index.Manifests, desc)
		}
		if len(i.Tags) == 0 && !i.Child {
			index.Manifests = append(index.Manifests, i.descriptor())
		}
	}
	for repo, index := range indexes {
		text, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		put(t, text, dir, string(repo), "index.json")
		put(t, []byte("half"), dir, string(repo), ".uploads", "0b1c")
	}
	put(t, []byte("bolt"), dir, "cache.db")
	put(t, []byte(`{"schemaVersion":2,"manifests":[]}`), dir, "_trash", "old", "index.json")
	put(t, nil, dir, "_restore_complete")
}

// Distribution writes images as CNCF distribution keeps them.
func Distribution(t testing.TB, dir string, images []Image) {
	t.Helper()
	root := filepath.Join(dir, "docker", "registry", "v2")
	blob := func(b []byte) string {
		hex := digest.FromBytes(b).Encoded()
		put(t, b, root, "blobs", "sha256", hex[:2], hex, "data")
		return hex
	}
	for _, i := range images {
		repo := filepath.Join(root, "repositories", filepath.FromSlash(string(i.Repository)))
		for _, b := range i.Blobs {
			hex := blob(b)
			put(t, []byte("sha256:"+hex), repo, "_layers", "sha256", hex, "link")
		}
		hex := blob(i.Body)
		put(t, []byte("sha256:"+hex), repo, "_manifests", "revisions", "sha256", hex, "link")
		for _, tag := range i.Tags {
			put(t, []byte("sha256:"+hex), repo, "_manifests", "tags", string(tag), "current", "link")
			put(t, []byte("sha256:"+hex), repo, "_manifests", "tags", string(tag), "index", "sha256", hex, "link")
		}
	}
}
