package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// routed is three stores: one for "team", one for "team/deep", and one for all else.
type routed struct {
	*registry.Routes
	root, team, deep *registry.Local
}

func newRouted(t *testing.T) routed {
	t.Helper()
	r := routed{root: newStores(t).replica(), team: newStores(t).replica(), deep: newStores(t).replica()}
	r.Routes = registry.NewRoutes(r.root, []registry.Route{{Path: "team", To: r.team}, {Path: "team/deep", To: r.deep}})
	return r
}

func TestRoutesSendARepositoryToTheLongestPath(t *testing.T) {
	r := newRouted(t)
	for repo, want := range map[oci.Repository]*registry.Local{
		"app": r.root, "teams/a": r.root, "team-a": r.root, "other/team": r.root,
		"team": r.team, "team/a": r.team, "team/deeper": r.team,
		"team/deep": r.deep, "team/deep/a": r.deep,
	} {
		content := "a layer of " + string(repo)
		d := digest.FromString(content)
		upload, err := r.StartUpload(t.Context(), repo, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		last := chunk(content)
		if err := r.CommitUpload(t.Context(), repo, upload.ID, d, last); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*registry.Local{r.root, r.team, r.deep} {
			_, err := l.StatBlob(t.Context(), repo, d)
			if here := err == nil; here != (l == want) {
				t.Errorf("%s: its blob in another store than its own: %v", repo, err)
			}
		}
		if got, err := read(t, want, repo, d); err != nil || string(got) != content {
			t.Errorf("%s: read %q, %v", repo, got, err)
		}
	}
}

// A mount between stores is an upload: 202, spec "Mounting a blob from another repository".
func TestRoutesMountWithinAStoreOnly(t *testing.T) {
	r := newRouted(t)
	d := newStores(t).push(r.team, "team/a", "a layer")
	for _, row := range []struct {
		repo, from oci.Repository
		mounted    bool
	}{
		{"team/b", "team/a", true},
		{"app", "team/a", false},
		{"team/deep/b", "team/a", false},
		{"team/c", "", true},
		{"other", "", false},
	} {
		err := r.MountBlob(t.Context(), row.repo, d, registry.Source{Repository: row.from})
		if row.mounted && err != nil || !row.mounted && !errors.Is(err, registry.ErrNotMounted) {
			t.Errorf("mount into %s from %q: %v, want mounted %t", row.repo, row.from, err, row.mounted)
		}
		if _, err := r.StatBlob(t.Context(), row.repo, d); row.mounted != (err == nil) {
			t.Errorf("HEAD in %s after the mount from %q: %v", row.repo, row.from, err)
		}
	}
}

func TestRoutesMergeTheCatalog(t *testing.T) {
	r := newRouted(t)
	s := newStores(t)
	for _, repo := range []oci.Repository{"alpha", "team-a", "team.b", "zeta", "teams/x"} {
		s.manifest(r.root, repo, "v")
	}
	s.manifest(r.root, "team/hidden", "v") // from before "team" was routed elsewhere
	for _, repo := range []oci.Repository{"team", "team/a", "team/z"} {
		s.manifest(r.team, repo, "v")
	}
	s.manifest(r.team, "beta", "v") // routed to the root
	for _, repo := range []oci.Repository{"team/deep", "team/deep/a"} {
		s.manifest(r.deep, repo, "v")
	}
	want := []oci.Repository{"alpha", "team", "team-a", "team.b", "team/a", "team/deep", "team/deep/a", "team/z", "teams/x", "zeta"}
	for n := 1; n <= len(want)+1; n++ {
		t.Run(fmt.Sprintf("pages of %d", n), func(t *testing.T) {
			var got []oci.Repository
			last := ""
			for range len(want) + 1 {
				page, err := r.Repositories(t.Context(), last, n)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Names) > n {
					t.Fatalf("a page of %d holds %d", n, len(page.Names))
				}
				got = append(got, page.Names...)
				if !page.More {
					break
				}
				last = string(page.Names[len(page.Names)-1])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("catalog (-want +got):\n%s", diff)
			}
		})
	}
}
