// Package conformance runs the official suites of the OCI distribution-spec against the registry: a local
// one, one replica on S3, and three behind HAProxy. The suites' binaries are given from outside, by
// CONFORMANCE_V1 (the test binary of v1.1.1) and CONFORMANCE_MAIN (the program of the main branch);
// `make conformance` runs it, `make test` does not.
package conformance
