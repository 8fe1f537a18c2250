// Package collect counts what a full pass of the collector costs: store requests and memory, on a store in memory in every run of the tests,
// and in a bucket, with time, when HOLDFAST_COST says how many blobs there are to be.
package collect
