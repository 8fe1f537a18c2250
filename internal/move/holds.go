package move

import (
	"sync"

	"holdfast/internal/oci"
)

// holds lets one at a time be at a blob, so that none is copied twice at once.
type holds struct {
	mu   *sync.Mutex
	held map[oci.Digest]*hold
}

// hold is a blob that somebody is at, and how many are or wait to be.
type hold struct {
	sync.Mutex
	users int
}

func newHolds() holds { return holds{new(sync.Mutex), map[oci.Digest]*hold{}} }

// hold waits until nobody else of this process is at a blob.
func (s holds) hold(d oci.Digest) (release func()) {
	s.mu.Lock()
	h := s.held[d]
	if h == nil {
		h = &hold{}
		s.held[d] = h
	}
	h.users++
	s.mu.Unlock()
	h.Lock()
	return func() {
		h.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(s.held, d)
		}
	}
}
