package authn

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"holdfast/internal/edge"
)

// How often a name, and a client's address, may fail in a minute before it must wait.
const (
	failuresPerName    = 10
	failuresPerAddress = 30
	failureWindow      = time.Minute
	failureKeys        = 1 << 16 // names and addresses that are remembered
)

// Failures bounds how often credentials may be wrong, by the name that they are for and by the address that they come from. All replicas of a cluster
// share the bound: each takes the part of it that one of so many gets from a load balancer. So a name fails at most failuresPerName + replicas times
// in a minute. Safe for concurrent use.
type Failures struct {
	replicas func() int

	mu      sync.Mutex
	seen    *simplelru.LRU[string, *bucket]
	changed chan struct{} // closed when an attempt ends; nil: nobody waits
}

// bucket is what is left of a bound.
type bucket struct {
	left  float64
	at    time.Time
	tries int // under way
}

// NewFailures returns an empty one. replicas says how many replicas there are; nil: this one.
func NewFailures(replicas func() int) *Failures {
	if replicas == nil {
		replicas = func() int { return 1 }
	}
	seen, _ := simplelru.NewLRU[string, *bucket](failureKeys, nil) // its only error is a size below 1
	return &Failures{replicas: replicas, seen: seen}
}

// attempt is one that may be made: end is called with what came of it. Without end, wait says when the next may be made, or, when there is nothing to wait
// for yet, turn is closed when another attempt ended: as many as may fail are made at once, and no more.
type attempt struct {
	end  func(failed bool)
	wait time.Duration
	turn <-chan struct{}
}

// begin takes an attempt for a name, "" for none, from an address. An address that may not try now leaves no name behind: it could push those out that are being guessed at.
func (f *Failures) begin(name string, from netip.Addr) attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var taken []*bucket
	for _, bound := range []struct {
		key string
		all int
	}{{"address " + addressOf(from), failuresPerAddress}, {"name " + name, failuresPerName}} {
		if bound.key == "name " {
			continue
		}
		most := f.share(bound.all)
		b := f.filled(bound.key, most, now)
		switch {
		case b.left < 1:
			return attempt{wait: time.Duration((1 - b.left) / most * float64(failureWindow))}
		case b.left < float64(b.tries+1):
			if f.changed == nil {
				f.changed = make(chan struct{})
			}
			return attempt{turn: f.changed}
		}
		taken = append(taken, b)
	}
	for _, b := range taken {
		b.tries++
	}
	return attempt{end: func(failed bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, b := range taken {
			b.tries--
			if failed {
				b.left--
			}
		}
		if f.changed != nil {
			close(f.changed)
			f.changed = nil
		}
	}}
}

// spent says how long an address must wait that has used up its bound; 0: it has not.
func (f *Failures) spent(from netip.Addr) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := f.share(failuresPerAddress)
	if left := f.filled("address "+addressOf(from), most, time.Now()).left; left < 1 {
		return time.Duration((1 - left) / most * float64(failureWindow))
	}
	return 0
}

// share is this replica's part of a bound.
func (f *Failures) share(all int) float64 {
	return math.Ceil(float64(all) / float64(max(1, f.replicas())))
}

// filled is the bucket of a key as it is now. mu is held.
func (f *Failures) filled(key string, most float64, now time.Time) *bucket {
	b, seen := f.seen.Get(key)
	if !seen {
		b = &bucket{left: most, at: now}
		f.seen.Add(key, b)
	}
	b.left = math.Min(most, b.left+most*float64(now.Sub(b.at))/float64(failureWindow))
	b.at = now
	return b
}

// addressOf is what a client is counted by: of IPv6 the network that one client has.
func addressOf(a netip.Addr) string { return edge.Group(a.Unmap().WithZone("")).String() }
