package policy

import (
	"slices"
	"strings"

	"holdfast/internal/access"
)

// Prefixes returns, in byte order, what the name of every repository begins with that a request may read, so that a list need not look elsewhere; the name
// itself may be denied all the same. None of them begins with another; "" alone is everywhere, and none is nowhere.
func (p *Policy) Prefixes(r *access.Request) []string {
	if r == nil {
		r = &access.Request{}
	}
	e := evaluation{policy: p, request: r}
	var all []string
	switch id := &r.Identity; {
	case id.Limits != nil:
		for _, limit := range id.Limits.Repositories {
			all = append(all, string(limit.Name))
		}
	case !p.given || e.isAdmin() && p.admin.actions.has(access.Read):
		return []string{""}
	default:
		for i := range p.globs {
			if g := &p.globs[i]; e.mayRead(g) && strings.Trim(g.prefix, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == "" { // else no name matches
				all = append(all, g.prefix)
			}
		}
	}
	slices.Sort(all)
	return slices.CompactFunc(all, func(kept, next string) bool { return strings.HasPrefix(next, kept) })
}

// mayRead reports whether something of a glob lets the identity read, whatever its conditions are.
func (e *evaluation) mayRead(g *glob) bool {
	if nobody(&e.request.Identity) {
		return g.anonymous.has(access.Read)
	}
	return g.standard.has(access.Read) || slices.ContainsFunc(g.rules, func(rule rule) bool {
		_, byName := e.named(&rule, false)
		_, byGroup := e.named(&rule, true)
		return rule.actions.has(access.Read) && (byName || byGroup)
	})
}
