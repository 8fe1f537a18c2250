// Package probe is the self-test of an S3 store: it makes real conditional writes race each other on
// scratch keys, looks for stale reads and lists, and reads the bucket's settings, so that a store on
// which acknowledged tags could be lost is refused at start, with the reason and what to do. It
// also learns the store's quirks (Result.Traits). It proves nothing about a store that was not
// raced. Start with Ensure; Run and Quick are the tests that it chooses from.
package probe
