package edge_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/edge"
)

// Three replicas, and what they count together: 30 requests a second are those of all, and what is served between two looks at the count.
func TestTogether(t *testing.T) {
	const perSecond, replicas = 30, 3
	total := func(counts map[string]int64) func(string, int64, func(int64)) {
		return func(name string, n int64, done func(int64)) {
			if !strings.Contains(name, "192.0.2.1") || !strings.Contains(name, "/v2/") {
				t.Errorf("a count of %q", name)
			}
			counts[name] += n
			now := counts[name]
			go func() { done(now) }()
		}
	}
	lie := func(n int64) func(string, int64, func(int64)) {
		return func(_ string, _ int64, done func(int64)) { go done(n) }
	}
	for name, test := range map[string]struct {
		count     func(string, int64, func(int64))
		from, to  int // served by all in a second
		onlyFirst bool
	}{
		"counted":                 {total(map[string]int64{}), perSecond, perSecond + 2*replicas, false},
		"one replica is asked":    {total(map[string]int64{}), perSecond, perSecond, true},
		"the count does not work": {func(string, int64, func(int64)) {}, perSecond * replicas, perSecond * replicas, false},
		"it says too much":        {lie(math.MaxInt64), perSecond, perSecond, false}, // each its part
		"it says nothing":         {lie(0), perSecond * replicas, perSecond * replicas, false},
		"it says less":            {lie(math.MinInt64), perSecond * replicas, perSecond * replicas, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				together := &edge.Together{Count: test.count, Replicas: func() int { return replicas }}
				var all []*edge.Limiter
				for range replicas {
					all = append(all, edge.NewLimiter(edge.Rates{All: perSecond}, func() *edge.Together { return together }))
				}
				client := netip.MustParseAddr("192.0.2.1")
				for second := range 3 {
					served := 0
					for i := range 999 { // less than a millisecond is left, and then the next second
						at := all[i%replicas]
						if test.onlyFirst {
							at = all[0]
						}
						if at.Allow(client, "GET", "/v2/") {
							served++
						}
						time.Sleep(time.Millisecond)
						synctest.Wait()
					}
					time.Sleep(time.Millisecond)
					if second > 0 && (served < test.from || served > test.to) { // the first begins with full buckets
						t.Errorf("second %d: %d are served, want %d to %d", second, served, test.from, test.to)
					}
				}
			})
		})
	}
}
