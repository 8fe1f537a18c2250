package registry_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// listed is a registry of which only the names are asked for.
type listed struct {
	registry.Registry
	names []oci.Repository // in order
}

// Repositories implements registry.Lists.
func (l *listed) Repositories(_ context.Context, last string, n int) (registry.Page[oci.Repository], error) {
	var page registry.Page[oci.Repository]
	for _, name := range l.names {
		if string(name) <= last {
			continue
		}
		if len(page.Names) == n {
			page.More = true
			break
		}
		page.Names = append(page.Names, name)
	}
	return page, nil
}

// FuzzListMerge: the catalog of several stores is each name once, in order, of the store that it is routed to, whatever names each store holds from before
// and however small the pages are.
func FuzzListMerge(f *testing.F) {
	f.Add("a b team/x", "team/x team/y a", "team/deep/z team/x", 1)
	f.Add("", "", "", 3)
	f.Add("team teams team-a", "team", "team/deep team/deeper", 2)
	f.Fuzz(func(t *testing.T, root, team, deep string, n int) {
		if n < 1 || n > 100 {
			return
		}
		stores := []*listed{{}, {}, {}}
		for i, names := range []string{root, team, deep} {
			for name := range strings.FieldsSeq(names) {
				if repo, err := oci.ParseRepository(name); err == nil {
					stores[i].names = append(stores[i].names, repo)
				}
			}
			slices.Sort(stores[i].names)
			stores[i].names = slices.Compact(stores[i].names)
		}
		below := func(repo oci.Repository, path string) bool {
			return string(repo) == path || strings.HasPrefix(string(repo), path+"/")
		}
		var want []oci.Repository
		for i, s := range stores {
			for _, name := range s.names {
				of := 0
				if below(name, "team/deep") {
					of = 2
				} else if below(name, "team") {
					of = 1
				}
				if of == i {
					want = append(want, name)
				}
			}
		}
		slices.Sort(want)
		all := registry.NewRoutes(stores[0], []registry.Route{{Path: "team", To: stores[1]}, {Path: "team/deep", To: stores[2]}})
		var got []oci.Repository
		for last := ""; ; {
			page, err := all.Repositories(t.Context(), last, n)
			if err != nil || len(page.Names) > n || page.More && len(page.Names) == 0 {
				t.Fatalf("after %q: %+v %v", last, page, err)
			}
			if got = append(got, page.Names...); !page.More {
				break
			}
			last = string(page.Names[len(page.Names)-1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
