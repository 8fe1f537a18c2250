package config

import (
	"fmt"
	"math"
	"strings"
)

// Quota is what the repositories below a prefix may hold together, in one store.
type Quota struct {
	// Prefix is the name of a repository, or of a path of repositories, without slashes at its ends; "" is the whole store.
	Prefix string
	// Bytes is more than 0.
	Bytes int64
}

// quotaKeys are the keys of storage, and of each of storage.subPaths, that bound what is stored.
func quotaKeys() []key {
	quotas := func(t *target) []*target {
		var all []*target
		for i := range t.store.Quotas {
			all = append(all, t.in(&t.store.Quotas[i]))
		}
		return all
	}
	return []key{
		{path: "maxRepos", kind: parseInt, into: func(t *target) any { return &t.store.MaxRepos }},
		{path: "quotas[]", items: quotas, add: func(t *target) *target {
			t.store.Quotas = append(t.store.Quotas, Quota{})
			all := quotas(t)
			return all[len(all)-1]
		}},
		{path: "quotas[].prefix", kind: parseQuotaPrefix, into: func(t *target) any { return &itemOf[Quota](t).Prefix }},
		{path: "quotas[].bytes", kind: size(1, math.MaxInt64, false), into: func(t *target) any { return &itemOf[Quota](t).Bytes }},
	}
}

func parseQuotaPrefix(n *node) (any, *Problem) {
	const want = `the name of a repository or of a path of them, as "team" or "team/app"; "/" for all of the store`
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	prefix := strings.Trim(n.text, "/")
	if prefix == "" && n.text != "/" || prefix != "" && !isRepositoryPath(prefix) {
		return nil, wrong(n, "is not a prefix of repositories", want)
	}
	return prefix, nil
}

// quotas checks what one key of a quota cannot know of another. route is of the store: "" for the root's.
func (w *walker) quotas(s *Store, path, route string) {
	s.MaxRepos = max(0, s.MaxRepos) // as in zot: no limit
	seen := map[string]bool{}
	for i, q := range s.Quotas {
		at := fmt.Sprintf("%s.quotas[%d]", path, i)
		if w.nodes[join(at, "prefix")] == nil {
			w.wrongAt(join(at, "prefix"), "is missing", "", `the path of repositories, "/" for all of the store`)
			continue
		}
		if w.nodes[join(at, "bytes")] == nil {
			w.wrongAt(join(at, "bytes"), "is missing", "", `a size, as "500GiB"`)
		}
		if w.failed(join(at, "prefix")) {
			continue
		}
		if seen[q.Prefix] {
			w.wrongAt(join(at, "prefix"), "is the same prefix as another", q.Prefix, "it once")
		}
		seen[q.Prefix] = true
		if below := q.Prefix == route || strings.HasPrefix(q.Prefix, route+"/"); route != "" && q.Prefix != "" && !below {
			w.warn(join(at, "prefix"), "is not below the path of this store: the quota is for nothing")
		}
	}
}
