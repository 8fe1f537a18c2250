// Package site starts what the benchmark measures: Holdfast, its peers and nginx, over a bucket of one S3 server or over a directory; each
// with a bucket and a proxy of its own, so that what each asks of the store is counted exactly. Start with New.
package site
