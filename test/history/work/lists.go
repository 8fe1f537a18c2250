package work

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/test/history/call"
)

// maxPages is after how many pages a list that goes on is one that never ends: nothing here has as many names.
const maxPages = 5000

// pages walks a list from its first page on, along its links. name says what a page's last name is.
func (w *worker) pages(ctx context.Context, first call.Call, path, query string, read func(*call.Call, answer) (last string)) {
	to := w.at()
	for n := 1; ; n++ {
		c := first
		a := w.send(ctx, &c, to, request{method: http.MethodGet, path: path + query})
		last := ""
		if c.OK() {
			last = read(&c, a)
		}
		next := linkOf(a.header)
		c.More = next != ""
		if c.OK() && c.Wrong == "" && c.More {
			c.Wrong = checkNext(next, path, last, first.Limit)
		}
		if n == maxPages {
			c.Wrong = "the list goes on for ever"
		}
		w.record(&c)
		if !c.OK() || !c.More || c.Wrong != "" {
			return
		}
		first.After, query = last, next[strings.Index(next, "?"):]
		if w.chance(50) {
			to = w.at()
		}
	}
}

// linkOf returns the target of a Link to the next page, "" without one.
func linkOf(h http.Header) string {
	link := h.Get("Link")
	begin, end := strings.Index(link, "<"), strings.Index(link, ">")
	if begin < 0 || end < begin || !strings.Contains(link, `rel="next"`) {
		return ""
	}
	return link[begin+1 : end]
}

// checkNext says what is wrong with a link to the next page.
func checkNext(link, path, last string, limit int) string {
	u, err := url.Parse(link)
	switch {
	case err != nil, u.RawQuery == "":
		return fmt.Sprintf("Link: %q", link)
	case u.EscapedPath() != path:
		return fmt.Sprintf("Link leads to %q", u.Path)
	case last == "":
		return "a Link after a page without a name"
	case u.Query().Get("last") != last:
		return fmt.Sprintf("Link goes on after %q, the page ends with %q", u.Query().Get("last"), last)
	case limit > 0 && u.Query().Get("n") != fmt.Sprint(limit):
		return fmt.Sprintf("Link has n=%q, want %d", u.Query().Get("n"), limit)
	}
	return ""
}

// limit chooses the length of pages; 0: the registry's own.
func (w *worker) limit() int {
	if w.final || w.chance(30) {
		return 0
	}
	return 1 + w.random.IntN(5)
}

func (w *worker) listTags(ctx context.Context, repo string) {
	c := call.Call{Op: call.Tags, Repo: repo, Limit: w.limit()}
	w.pages(ctx, c, "/v2/"+repo+"/tags/list", pageQuery(c.Limit, ""), func(c *call.Call, a answer) string {
		var page struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(a.body, &page); err != nil || page.Name != repo {
			c.Wrong = fmt.Sprintf("no list of %s: %q", repo, a.body)
		}
		c.Names = page.Tags
		return lastOf(c.Names)
	})
}

// listCatalog lists the repositories of the prefix; other people's may be there, too.
func (w *worker) listCatalog(ctx context.Context) {
	c := call.Call{Op: call.Catalog, Limit: w.limit(), After: w.world.opt.Prefix}
	w.pages(ctx, c, "/v2/_catalog", pageQuery(c.Limit, c.After), func(c *call.Call, a answer) string {
		var page struct{ Repositories []string }
		if err := json.Unmarshal(a.body, &page); err != nil {
			c.Wrong = fmt.Sprintf("no catalog: %q", a.body)
		}
		c.Names = page.Repositories
		return lastOf(c.Names)
	})
}

func (w *worker) listReferrers(ctx context.Context, repo string, subject *image) {
	c := call.Call{Op: call.Referrers, Repo: repo, Ref: subject.digest, Limit: w.limit()}
	query := pageQuery(c.Limit, "")
	if !w.final && w.chance(30) {
		c.Filter = pick(w.client, append(slices.Clone(artifactTypes), artifactConfig))
		query += "&artifactType=" + url.QueryEscape(c.Filter)
	}
	w.pages(ctx, c, "/v2/"+repo+"/referrers/"+subject.digest, query, func(c *call.Call, a answer) string {
		var index struct {
			SchemaVersion int
			MediaType     string
			Manifests     []call.Descriptor
		}
		switch err := json.Unmarshal(a.body, &index); {
		case err != nil, index.SchemaVersion != 2, index.MediaType != v1.MediaTypeImageIndex:
			c.Wrong = fmt.Sprintf("no index: %q", a.body)
		case !strings.HasPrefix(a.header.Get("Content-Type"), v1.MediaTypeImageIndex):
			c.Wrong = fmt.Sprintf("Content-Type is %q", a.header.Get("Content-Type"))
		}
		c.Entries = index.Manifests
		c.Applied = strings.Contains(a.header.Get("OCI-Filters-Applied"), "artifactType")
		if len(c.Entries) == 0 {
			return ""
		}
		return c.Entries[len(c.Entries)-1].Digest
	})
}

func lastOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}
