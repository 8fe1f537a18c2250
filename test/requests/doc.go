// Package requests counts the S3 requests of every operation of the registry, on a real store, and asserts
// them exactly: a stray request fails the build. The same figures stand in docs/ARCHITECTURE.md.
package requests
