// Package memory holds a test, run by hand (make memory), of how much memory one replica needs while many
// clients push and pull large blobs through it to and from S3.
package memory
