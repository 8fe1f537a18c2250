package edge

import (
	"strconv"
	"sync"
	"time"
)

// Together is how replicas count requests together. What it counts may be late, wrong or not there at all: see Limiter.
type Together struct {
	// Count adds n to the count of a name, which begins at 0 and is forgotten after a few seconds, and tells done what it is then: soon, late or never.
	// It does not wait.
	Count func(name string, n int64, done func(total int64))
	// Replicas is how many there are, about.
	Replicas func() int
}

// A replica tells the count what it served of one client and path, and hears what all served, after tellEvery, and earlier when it has served a tellShare of its part of
// the rate since: so many more than the rate may all serve together. One telling waits for the answer to the one before: out of order they would look like the
// requests of others.
const (
	tellEvery = 50 * time.Millisecond
	tellShare = 8
)

// shared is what a replica knows of a client's requests at all replicas in the present second, by its clock. So all serve together at most the rate, and what
// they serve between two looks. A count that is gone leaves the replica's own limit; one that lies can only bring a replica down to its part of the rate.
type shared struct {
	mu     sync.Mutex
	second int64
	served int64 // by this replica
	told   int64 // of these, what the count was told
	others int64 // served by others, as far as is known
	asking bool  // the count was told something, and has not answered
	at     time.Time
}

// allow reports whether one more request may be served here, and counts it. name names the client and path everywhere alike.
func (s *shared) allow(t *Together, perSecond int, name func() string) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.served, s.told, s.others, s.asking, s.at = second, 0, 0, 0, false, time.Time{}
	}
	replicas := int64(max(1, t.Replicas()))
	part := (int64(perSecond) + replicas - 1) / replicas
	if s.served >= part && s.served+s.others >= int64(perSecond) {
		return false
	}
	s.served++
	if s.asking || now.Sub(s.at) < tellEvery && s.served-s.told < max(1, part/tellShare) {
		return true
	}
	n, told, second := s.served-s.told, s.served, s.second
	s.told, s.asking, s.at = told, true, now
	t.Count(name()+" "+strconv.FormatInt(second, 10), n, func(total int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.second != second {
			return
		}
		s.asking = false
		if total > told {
			s.others = max(s.others, min(total-told, int64(perSecond)))
		}
	})
	return true
}
