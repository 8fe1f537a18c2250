package spec

import (
	"slices"
	"strings"
)

// catalogRows is the list of repositories, which the spec leaves to "Docker's"
// registry API: clients ask for it all the same.
func catalogRows() []Row {
	const section = "_catalog"
	type page struct{ Repositories []string }
	beside := func(e *Env) []string {
		r := e.vars["repo"]
		return []string{r, r + "-b", r + ".c", r + "/a", r + "/a-b", r + "/a/x", r + "_d", r + "a"}
	}
	given := []Step{func(e *Env) {
		names := beside(e)
		slices.Reverse(names)
		for _, name := range names {
			imageTo(name, "m", "v1")(e)
		}
	}}
	own := func(e *Env, got []string) (own []string) {
		for _, name := range got {
			if strings.HasPrefix(name, e.vars["repo"]) {
				own = append(own, name)
			}
		}
		return own
	}
	names := func(e *Env) func(a *Answer) []string {
		return func(a *Answer) []string {
			var p page
			e.decode(a, &p)
			if p.Repositories == nil {
				e.Errorf("repositories is null or missing, want a list: %s", a.Body)
			}
			return p.Repositories
		}
	}
	all := func(n string) Exchange {
		return Exchange{Do: "GET /v2/_catalog" + n, Want: Want{Status: 200, Check: func(e *Env, a *Answer) {
			got := e.follow(a, names(e))
			if !slices.IsSorted(got) {
				e.Errorf("the repositories are not in byte order: %q", got)
			}
			if got := own(e, got); !slices.Equal(got, beside(e)) {
				e.Errorf("the pages hold %q, want %q", got, beside(e))
			}
		}}}
	}
	return []Row{
		{Name: "all repositories, in byte order, each once", Section: section, Given: given, Exchange: all("")},
		{Name: "Links lead through all", Section: section, Given: given, Exchange: all("?n=7")},
		{Name: "n after last, with a Link", Section: section, Given: given, Exchange: Exchange{Do: "GET /v2/_catalog?n=3&last={repo}.c", Want: Want{
			Status: 200, Heads: []string{`Link: ~^</v2/_catalog\?.*>; *rel="?next"?$`}, Check: func(e *Env, a *Answer) {
				if got := names(e)(a); !slices.Equal(got, beside(e)[3:6]) {
					e.Errorf("after %s.c come %q, want %q", e.vars["repo"], got, beside(e)[3:6])
				}
			}}}},
		{Name: "an upload alone makes no repository", Section: section, Given: []Step{upload("u"), chunk("u", "0-4", "hello")},
			Exchange: Exchange{Do: "GET /v2/_catalog?n=1000&last={repo}", Want: Want{Status: 200, Check: func(e *Env, a *Answer) {
				if slices.Contains(names(e)(a), e.vars["repo"]) {
					e.Error("the repository is there although nothing was pushed")
				}
			}}}},
		{Name: "n=0: an empty list and no Link", Section: "B14", Exchange: Exchange{Do: "GET /v2/_catalog?n=0", Want: Want{Status: 200, Heads: []string{"!Link"}, Check: func(e *Env, a *Answer) {
			if got := names(e)(a); len(got) != 0 {
				e.Errorf("got %q, want nothing", got)
			}
		}}}},
		{Name: "n above every page is clamped", Section: "A02", Given: given, Exchange: all("?n=9999999999999")},
		{Name: "n=-1 is 400", Section: "B13", Exchange: Exchange{Do: "GET /v2/_catalog?n=-1", Want: Want{Status: 400, Code: "UNSUPPORTED", Says: `\bn\b`}}},
		{Name: "last that is no name is 400", Section: "B16", Exchange: Exchange{Do: "GET /v2/_catalog?last=A%00", Want: Want{Status: 400, Code: "UNSUPPORTED|NAME_INVALID", Says: "last"}}},
	}
}
