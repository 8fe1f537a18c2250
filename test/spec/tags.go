package spec

import (
	"slices"
	"strings"
)

// collide are tags in byte order, chosen so that one is the start of another and
// that every other order shows.
var collide = []string{"0.1.2", "0.1.2-rc1", "0.1.20", "A", "Z", "_a", "a", "a-b", "a.b", "a_b", "aa", "z"}

// tagged pushes one image under each tag, the last first.
func tagged(tags ...string) Step {
	tags = slices.Clone(tags)
	slices.Reverse(tags)
	return image("m", tags...)
}

// tagsRows is "Listing Tags": end-8a, end-8b.
func tagsRows() []Row {
	const section = "Listing Tags, end-8a"
	const paged = "Listing Tags, end-8b"
	ask := func(query string, heads []string, tags ...string) Exchange {
		return Exchange{Do: "GET /v2/{repo}/tags/list" + query, Want: Want{Status: 200, Heads: heads, Check: wantTags(tags...)}}
	}
	last, more := []string{"!Link"}, []string{`Link: ~^</v2/{repo}/tags/list\?.*>; *rel="?next"?$`}
	all := tagged(collide...)
	del := func(target string) Step { return Exchange{Do: "DELETE " + target, Want: Want{Status: 202}}.step() }
	return []Row{
		{Name: "all, in byte order", Section: section, Given: []Step{all}, Exchange: ask("", last, collide...)},
		{Name: "a repository without tags: an empty list", Section: section, Given: []Step{image("m")}, Exchange: ask("", last)},
		{Name: "a repository whose tags are deleted: an empty list", Section: section, Given: []Step{image("m", "v1"), del("/v2/{repo}/manifests/v1")}, Exchange: ask("", last)},
		{Name: "an unknown repository is 404", Section: section, Exchange: Exchange{Do: "GET /v2/{repo}/tags/list", Want: Want{Status: 404, Code: "NAME_UNKNOWN"}}},
		{Name: "a repository below another is another", Section: section, Given: []Step{imageTo("{repo}/below", "m", "v1"), image("m", "v2")}, Exchange: ask("", last, "v2")},
		{Name: "a repository that begins like another is another", Section: section, Given: []Step{imageTo("{repo}x", "m", "v1"), imageTo("{repo}-x", "m", "v1"), imageTo("{repo}.x", "m", "v1"), image("m", "v2")}, Exchange: ask("", last, "v2")},
		{Name: "n of them, with a Link", Section: paged, Given: []Step{all}, Exchange: ask("?n=3", more, collide[:3]...)},
		{Name: "n is all of them: no Link", Section: paged, Given: []Step{all}, Exchange: ask("?n=12", last, collide...)},
		{Name: "n is more than there are: no Link", Section: paged, Given: []Step{all}, Exchange: ask("?n=13", last, collide...)},
		{Name: "n after last", Section: paged, Given: []Step{all}, Exchange: ask("?n=2&last=0.1.20", more, "A", "Z")},
		{Name: "the last n after last: no Link", Section: paged, Given: []Step{all}, Exchange: ask("?n=2&last=a_b", last, "aa", "z")},
		{Name: "last without n: the rest", Section: paged, Given: []Step{all}, Exchange: ask("?last=a.b", last, "a_b", "aa", "z")},
		{Name: "after the last tag: nothing", Section: paged, Given: []Step{all}, Exchange: ask("?last=z", last)},
		{Name: "after a tag that never was: what follows it", Section: paged, Given: []Step{all}, Exchange: ask("?last=b", last, "z")},
		{Name: "an unknown parameter is ignored", Section: paged, Given: []Step{image("m", "v1")}, Exchange: ask("?x=y", last, "v1")},
		{Name: "Links lead through all, each once", Section: paged, Given: []Step{all}, Exchange: Exchange{Do: "GET /v2/{repo}/tags/list?n=5", Want: Want{Status: 200, Check: func(e *Env, a *Answer) {
			got := e.follow(a, func(a *Answer) []string {
				var page struct{ Tags []string }
				e.decode(a, &page)
				return page.Tags
			})
			if !slices.Equal(got, collide) {
				e.Errorf("the pages hold %q, want %q", got, collide)
			}
		}}}},
		{Name: "n=0: an empty list and no Link", Section: "B14", Given: []Step{all}, Exchange: ask("?n=0", last)},
		{Name: "n above the maximum is clamped", Section: "B15", Given: []Step{all}, Exchange: ask("?n=99999999", last, collide...)},
		{Name: "n above every integer is clamped", Section: "A02", Given: []Step{all}, Exchange: ask("?n=99999999999999999999999", last, collide...)},
		{Name: "after a deleted tag: what follows it", Section: "B17", Given: []Step{all, del("/v2/{repo}/manifests/a.b")}, Exchange: ask("?last=a.b", last, "a_b", "aa", "z")},
		{Name: "deleted tags fill no page", Section: "B17", Given: []Step{all, del("/v2/{repo}/manifests/0.1.2"), del("/v2/{repo}/manifests/A"), del("/v2/{repo}/manifests/z")},
			Exchange: ask("?n=4", more, "0.1.2-rc1", "0.1.20", "Z", "_a"), Then: []Step{ask("?n=5&last=_a", last, "a", "a-b", "a.b", "a_b", "aa").step()}},
	}
}

// badListRows are parameters of lists that make no sense.
func badListRows() []Row {
	row := Row{Given: []Step{image("m", "v1")}}
	bad := func(section, says string, queries ...string) []Row {
		return each(row, queries, func(r *Row, query string) {
			if len(query) > 40 {
				r.Name = query[:40] + "... is 400"
			} else {
				r.Name = query + " is 400"
			}
			r.Section = section
			r.Exchange = Exchange{Do: "GET /v2/{repo}/tags/list?" + query, Want: Want{Status: 400, Code: "UNSUPPORTED", Says: says}}
		})
	}
	return all(
		bad("B13", `\bn\b`, "n=-1", "n=abc", "n=1.5", "n=", "n=9e9", "n=1&n=2", "n=%201", "n=0x10", "n=+1"),
		bad("B16", "last", "last=..", "last="+strings.Repeat("a", 300), "last=a%0d%0ab", "last=a/b", "n=1&last=.x"),
		bad("A03", "param", "a1=1"+strings.Repeat("&a1=1", 100)),
		[]Row{{Name: "20 000 parameters are refused", Section: "A03", Given: row.Given, Exchange: Exchange{
			Do:   "GET /v2/{repo}/tags/list?a1=1" + strings.Repeat("&a1=1", 20_000),
			Want: Want{Status: 400, Or: []int{414, 431}, Bare: true}, Proxy: &Want{Status: 400, Or: []int{414, 431}, Bare: true},
		}}},
	)
}

// follow reads the pages that Links lead to and returns what they hold.
func (e *Env) follow(a *Answer, names func(*Answer) []string) (all []string) {
	e.Helper()
	for range 1000 {
		all = append(all, names(a)...)
		link := a.Header.Get("Link")
		if link == "" {
			return all
		}
		target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if !ok || !strings.HasPrefix(target, "/") {
			e.Fatalf("Link %q leads nowhere", link)
		}
		a = e.exchange(Exchange{Do: "GET " + target, Want: Want{Status: 200}})
	}
	e.Fatal("Links do not end after 1000 pages")
	return nil
}
