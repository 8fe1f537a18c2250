// Package cached puts a lookaside cache before a record driver: a bounded one in memory, then, where there is one, a cache
// that replicas share. It may be wiped, stale, lying, slow or gone at any moment, with latency as the only effect.
// The drivers of shared caches live below it.
package cached
