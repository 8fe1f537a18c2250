// Package redis is the cache that replicas share in Redis, or in a server that speaks its protocol: one server, Sentinel, or a Cluster.
//
// It is a cache and no more: nothing is stored that is not in the bucket, so neither persistence nor replication of Redis is needed, and
// `maxmemory-policy allkeys-lru` or `allkeys-lfu` is right. No connection is made before Open returns, and none is waited for: until there is
// one, every call fails at once with ErrNotConnected.
//
// Client-side caching (CLIENT TRACKING) is off: the first level in memory, in package cached, is that already, is bounded for the whole process, and
// holds values that were verified; a second one per connection would keep the same bytes twice.
package redis
