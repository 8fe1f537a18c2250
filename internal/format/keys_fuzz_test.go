package format_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
)

// FuzzStorageKey: whatever names clients choose, every key is one that all stores can hold, and no two things have one key, or a key in the folder of another.
func FuzzStorageKey(f *testing.F) {
	for _, pair := range [][4]string{
		{"a", "v1", "a/b", "v1"}, {"a/m", "f", "a", "m"}, {"a-b", "x", "a.b", "x"}, {"a__b", "..", "a_b", "_"}, {"a/t/b", "t", "a/t", "b"}, {"p", "since", "p", "since"},
	} {
		f.Add(pair[0], pair[1], pair[2], pair[3], "content")
	}
	f.Fuzz(func(t *testing.T, repoA, tagA, repoB, tagB, content string) {
		store := recordmem.New(recordmem.Config{})
		d := digest.FromString(content)
		var all [][]record.Key
		for _, names := range [][2]string{{repoA, tagA}, {repoB, tagB}} {
			repo, err := oci.ParseRepository(names[0])
			tag, tagErr := oci.ParseTag(names[1])
			if err != nil || tagErr != nil {
				return
			}
			if got := format.UnescapeRepository(format.EscapeRepository(repo)); got != repo {
				t.Fatalf("%q comes back as %q", repo, got)
			}
			all = append(all, []record.Key{
				format.LinkKey(repo, d), format.ManifestKey(repo, d), format.TagKey(repo, tag), format.ReferrersKey(repo, d), format.MarkerKey(repo, d, tag),
				format.FenceKey(repo), format.RepositoryKey(repo), format.PulledKey(repo, d), format.PulledSinceKey(repo),
			})
		}
		for i, a := range all[0] {
			if _, err := store.Get(context.Background(), a); !errors.Is(err, record.ErrNotFound) {
				t.Errorf("%q is no key: %v", a, err)
			}
			if strings.Contains(string(a), "..") && strings.Contains("/"+string(a)+"/", "/../") {
				t.Errorf("%q leaves its folder", a)
			}
			for j, b := range all[1] {
				if same := repoA == repoB && (tagA == tagB || i != 2 && i != 4); (a == b) != (i == j && same) {
					t.Errorf("%q and %q are one key: %t", a, b, a == b)
				}
				if strings.HasPrefix(string(b), string(a)+"/") {
					t.Errorf("%q is in the folder of %q", b, a)
				}
			}
		}
	})
}
