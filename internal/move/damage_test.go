package move_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
	"holdfast/internal/oci"
)

// indexIn reads an index of a layout.
func indexIn(t *testing.T, file string) v1.Index {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var index v1.Index
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func blobIn(dir string, d oci.Digest) string {
	return filepath.Join(dir, "blobs", string(d.Algorithm()), d.Encoded())
}

func flip(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedIndexes: a disk loses a bit, or a file, of what a backup keeps its books in. The next backup is whole nevertheless, with a repository that
// changed and one that did not; a damaged snapshot is named.
func TestDamagedIndexes(t *testing.T) {
	repository := func(t *testing.T, dir string) string {
		snapshot := indexIn(t, filepath.Join(dir, "index.json")).Manifests[0].Digest
		return blobIn(dir, indexIn(t, blobIn(dir, snapshot)).Manifests[0].Digest)
	}
	for _, c := range []struct {
		name     string
		damage   func(t *testing.T, dir string)
		problems int
	}{
		{"a repository's is damaged", func(t *testing.T, dir string) { flip(t, repository(t, dir)) }, 0},
		{"a repository's is gone", func(t *testing.T, dir string) {
			if err := os.Remove(repository(t, dir)); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"the snapshot's is damaged", func(t *testing.T, dir string) {
			flip(t, blobIn(dir, indexIn(t, filepath.Join(dir, "index.json")).Manifests[0].Digest))
		}, 1},
		{"the snapshot's is gone", func(t *testing.T, dir string) {
			if err := os.Remove(blobIn(dir, indexIn(t, filepath.Join(dir, "index.json")).Manifests[0].Digest)); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		for _, changed := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				images := movetest.Images(12)
				from, _ := filled(t, images)
				dir := t.TempDir()
				backup(t, from.Store(), dir, 0, 0)
				c.damage(t, dir)
				if changed {
					for _, more := range movetest.Others(1, 12) {
						movetest.Push(t, from, more)
					}
				}
				if r := backup(t, from.Store(), dir, 0, c.problems); r.Blobs > 0 && !changed {
					t.Errorf("blobs were copied again: %+v", r)
				}
				backup(t, from.Store(), dir, 0, 0)
				to := movetest.New(t, nil)
				restore(t, to, dir, "", move.ImportConfig{})
				if !changed {
					movetest.Check(t, to, "", images)
				}
			})
		}
	}
}
