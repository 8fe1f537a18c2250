package guard

import (
	"context"
	"strings"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

const (
	// catalogPage is how many names are asked for at once: a page of the store.
	catalogPage = 1000
	// catalogPages bounds the work of one request.
	catalogPages = 100
)

// Repositories implements registry.Lists: those that may be read. Pages are full, but for the last one and for one that would need to pass more than 100,000 names that
// may not be read: that one ends early, with More. Where it would be empty, the request is refused: going on behind a name that may not be read
// would tell the name.
func (g *guard) Repositories(ctx context.Context, last string, n int) (registry.Page[oci.Repository], error) {
	r := access.From(ctx)
	if r == nil {
		return g.next.Repositories(ctx, last, n)
	}
	rules := g.rules()
	var out registry.Page[oci.Repository]
	lists := rules.Lists(r)
	if l := r.Identity.Limits; lists && l != nil && l.CatalogByRules {
		whole := *r
		whole.Identity.Limits = nil
		r, lists = &whole, rules.Lists(&whole)
	}
	if !lists {
		return out, refuse(r, policy.Decision{By: policy.Credentials, Policy: -1, Message: "these credentials do not reach the list of repositories"}, access.Read, "", r.Identity.Way == access.Token || r.Identity.Limits != nil && r.Identity.Limits.Rules)
	}
	prefixes, size := rules.Prefixes(r), min(n+1, catalogPage)
	for range catalogPages {
		var more bool
		if last, more = skip(prefixes, last); !more {
			return out, nil
		}
		page, err := g.next.Repositories(ctx, last, size)
		if err != nil {
			return registry.Page[oci.Repository]{}, err
		}
		for _, name := range page.Names {
			if !rules.Decide(r, policy.Ask{Action: access.Read, Repository: name}).Allowed {
				continue
			}
			if len(out.Names) == n {
				out.More = true
				return out, nil
			}
			out.Names = append(out.Names, name)
		}
		if !page.More || len(page.Names) == 0 {
			return out, nil
		}
		last, size = string(page.Names[len(page.Names)-1]), catalogPage
	}
	if len(out.Names) == 0 {
		return out, oci.Errorf(oci.Unsupported, "there is too much here that you may not read for a list of what you may")
	}
	out.More = true
	return out, nil
}

// skip returns what to list after: last, or the end of what lies before the first name behind it that begins with one of prefixes, which are in byte order. more is
// false when there is none.
func skip(prefixes []string, last string) (after string, more bool) {
	for _, p := range prefixes {
		switch {
		case strings.HasPrefix(last, p):
			return last, true
		case last < p:
			return max(last, before(p)), true
		}
	}
	return "", false
}

// before is a text that every name beginning with p comes after, and hardly any other name of those that come after it before them. No name has a "~", which
// every letter of a name is less than.
func before(p string) string {
	p = strings.TrimRight(p, "-") // the store orders "-" before what comes before it here
	if p == "" {
		return ""
	}
	end := len(p) - 1
	return p[:end] + string(p[end]-1) + "~"
}
