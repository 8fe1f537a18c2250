package judge

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"holdfast/test/history/call"
)

// lists judges every page of every list, each against its own time.
func (b *book) lists() {
	tags, repos := b.tagPresence(), b.repositoryPresence()
	referrers := b.referrerPresence()
	ours := func(repo string) bool { return b.opt.Prefix == "" || strings.HasPrefix(repo, b.opt.Prefix+"/") }
	for i := range b.calls {
		c := &b.calls[i]
		switch {
		case !c.Sent() || c.Failed():
		case c.Op == call.Tags:
			b.tagsPage(c, tags[c.Repo], repos[c.Repo])
		case c.Op == call.Catalog && c.OK():
			b.page(c, c.Names, repos, ours)
		case c.Op == call.Referrers && c.OK():
			b.referrersPage(c, referrers[name{c.Repo, c.Ref}])
		}
	}
}

func (b *book) tagsPage(c *call.Call, tags map[string]*presence, repo *presence) {
	all := func(string) bool { return true }
	about := "tags of " + c.Repo
	switch {
	case c.OK():
		b.page(c, c.Names, tags, all)
		if c.After == "" && !c.More && len(c.Names) == 0 && (repo == nil || repo.surelyGone(c.Call, c.Ret)) {
			b.problem("M5", about, "a repository that was never pushed to has an empty list", c)
		}
	case c.Status == http.StatusNotFound:
		b.page(c, nil, tags, all)
		if repo != nil && repo.surelyThere(c.Call, c.Ret) {
			b.problem("M5", about, "the repository is said not to be there, and was pushed to", c)
		}
	}
}

// page judges one page. ours says which names the history knows all about.
func (b *book) page(c *call.Call, names []string, known map[string]*presence, ours func(string) bool) {
	about := c.Op + " " + c.Repo + " " + call.Short(c.Ref)
	if text := inOrder(c, names); text != "" {
		b.problem("M5", about, text, c)
	}
	for _, n := range names {
		if p := known[n]; ours(n) && (p == nil || p.surelyGone(c.Call, c.Ret)) {
			b.listed(about, n+" is listed, and was not there at any time of the request", c, n)
		}
	}
	last := ""
	if c.More && len(names) > 0 {
		last = names[len(names)-1]
	}
	for _, n := range slices.Sorted(maps.Keys(known)) {
		covered := n > c.After && (!c.More || n <= last)
		if covered && !slices.Contains(names, n) && known[n].surelyThere(c.Call, c.Ret) {
			b.listed(about, n+" is not listed, and was there during the whole request", c, n)
		}
	}
}

// mostShown is how many calls a problem of a list shows.
const mostShown = 7

// listed reports a wrong list, with the writes of the name that came last before it.
func (b *book) listed(about, text string, page *call.Call, n string) {
	var writes []*call.Call
	for i := range b.calls {
		c := &b.calls[i]
		if c.Call > page.Ret {
			break
		}
		if b.writes(c, page, n) {
			writes = append(writes, c)
		}
	}
	b.problem("M5", about, text, append(writes[max(0, len(writes)-mostShown+1):], page)...)
}

// writes reports whether a call may change that a list shows a name.
func (b *book) writes(c, page *call.Call, n string) bool {
	if page.Op == call.Catalog {
		return c.Op == call.ManifestPut && c.Repo == n
	}
	if c.Repo != page.Repo {
		return false
	}
	switch c.Op {
	case call.ManifestPut:
		return c.Digest == n || slices.Contains(c.TagsSet(), n)
	case call.ManifestDelete:
		return c.Ref == n || slices.Contains(b.tagsOf[name{c.Repo, c.Ref}], n)
	case call.TagDelete:
		return c.Ref == n
	}
	return false
}

// inOrder says what is wrong with the order of a page, "" for nothing.
func inOrder(c *call.Call, names []string) string {
	for i, n := range names {
		switch {
		case n <= c.After:
			return fmt.Sprintf("%s is listed, and the page begins after %s", call.Short(n), call.Short(c.After))
		case i > 0 && n <= names[i-1]:
			return fmt.Sprintf("%s comes after %s", call.Short(n), call.Short(names[i-1]))
		}
	}
	if c.Limit > 0 && len(names) > c.Limit {
		return fmt.Sprintf("%d names on a page of %d", len(names), c.Limit)
	}
	return ""
}

func at[K comparable](m map[K]*presence, key K) *presence {
	if m[key] == nil {
		m[key] = &presence{}
	}
	return m[key]
}

// tagPresence says when which tag was there, by repository.
func (b *book) tagPresence() map[string]map[string]*presence {
	all := make(map[string]map[string]*presence)
	of := func(repo, tag string) *presence {
		if all[repo] == nil {
			all[repo] = make(map[string]*presence)
		}
		return at(all[repo], tag)
	}
	for i := range b.calls {
		c := &b.calls[i]
		if !c.Sent() {
			continue
		}
		s := span{c.Call, end(c)}
		switch c.Op {
		case call.ManifestPut:
			for _, t := range c.TagsSet() {
				p := of(c.Repo, t)
				if c.OK() {
					p.shown = append(p.shown, s)
				}
				if b.mayLeave(c) {
					p.brought = append(p.brought, s)
				}
				if b.flickers(c) {
					p.removed = append(p.removed, s)
				}
			}
		case call.ManifestGet, call.ManifestHead:
			if c.ByDigest() {
				continue
			}
			if c.OK() {
				of(c.Repo, c.Ref).shown = append(of(c.Repo, c.Ref).shown, s)
			} else if c.Refused() && c.Status == http.StatusNotFound {
				of(c.Repo, c.Ref).gone = append(of(c.Repo, c.Ref).gone, s)
			}
		case call.TagDelete:
			p := of(c.Repo, c.Ref)
			if c.OK() || c.Refused() && c.Status == http.StatusNotFound {
				p.gone = append(p.gone, s)
			}
			if !c.Refused() {
				p.removed = append(p.removed, s)
			}
		case call.ManifestDelete:
			for _, t := range b.tagsOf[name{c.Repo, c.Ref}] {
				if b.mayHold(t, c) {
					of(c.Repo, t).removed = append(of(c.Repo, t).removed, s)
				}
			}
		}
	}
	return all
}

// repositoryPresence says since when which repository is there: a push makes it, and nothing takes it away.
func (b *book) repositoryPresence() map[string]*presence {
	all := make(map[string]*presence)
	for i := range b.calls {
		c := &b.calls[i]
		if c.Op != call.ManifestPut || !c.Sent() {
			continue
		}
		p := at(all, c.Repo)
		p.brought = append(p.brought, span{c.Call, never}) // also of a refused one, whose marker may come late
		if c.OK() {
			p.shown = append(p.shown, span{c.Call, c.Ret})
		}
	}
	return all
}
