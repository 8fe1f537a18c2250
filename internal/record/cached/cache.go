package cached

import (
	"context"
	"time"
)

// MaxValue is the largest value, in bytes, that a Cache is ever given: what every shared cache takes in one item.
const MaxValue = 256 << 10

// Cache is a lookaside cache shared by replicas that may be wiped, stale, lying, slow or gone at any moment: what
// it returns is verified before it is believed (PROTOCOL.md, "What may be cached"). Keys are 1 to 128 bytes of letters,
// digits, ':', '-' and '_'; values are 1 byte to MaxValue. Implementations are safe for concurrent use and need no
// time-outs of their own: the caller's context has a deadline (5 ms) and a breaker stands before them.
type Cache interface {
	// Get returns the values of keys, in their order and as many; nil where there is none. What it
	// returns belongs to the caller.
	Get(ctx context.Context, keys []string) ([][]byte, error)

	// Set stores value under key for at least a short while; it may be dropped at any time. ttl, a second or more,
	// is when it may be forgotten. It does not keep value after it returned.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete forgets keys: an optimisation, never needed for correctness.
	Delete(ctx context.Context, keys ...string) error

	// Add adds n to a counter that begins at 0 and ends ttl after its first Add, and returns its value: for counts
	// that may be approximate. No key is used for both Set and Add.
	Add(ctx context.Context, key string, n int64, ttl time.Duration) (int64, error)

	// Close frees what the cache holds. It is safe to call twice; no other call follows it.
	Close() error
}
