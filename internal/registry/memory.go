package registry

import (
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// memory keeps the newest of what a replica remembers, and counts how often that was of use. Safe for concurrent use.
type memory[K comparable, V any] struct {
	*lru.Cache[K, V]
	lookups Lookups
}

// newMemory returns a memory of at most size entries, one at least.
func newMemory[K comparable, V any](size int) *memory[K, V] {
	cache, _ := lru.New[K, V](size) // fails for no size only
	return &memory[K, V]{Cache: cache}
}

// Find is Get, and counts.
func (m *memory[K, V]) Find(key K) (V, bool) {
	v, ok := m.Get(key)
	m.lookups.found(ok)
	return v, ok
}

// Lookups counts who looked into a memory and found something, and who did not. Safe for concurrent use.
type Lookups struct{ Hits, Misses atomic.Int64 }

func (l *Lookups) found(ok bool) {
	if ok {
		l.Hits.Add(1)
	} else {
		l.Misses.Add(1)
	}
}

// Memories are the counts of what a Local remembers, by what it is: "fence", the repositories' fences, by which a push begins without a read;
// "manifest", the references of manifests by digest; "child", the children of indexes that were seen whole; "hashed", the files
// that were hashed, and leave without being read here; "session", the upload sessions that are committed without a read; "place", with Config.OpenEarly, the segments of small blobs.
func (l *Local) Memories() map[string]*Lookups {
	all := map[string]*Lookups{"fence": &l.repos.lookups, "manifest": &l.refs.lookups, "child": &l.children.lookups, "hashed": &l.hashed.lookups, "session": &l.sessions.lookups}
	if l.places != nil {
		all["place"] = &l.places.lookups
	}
	return all
}
