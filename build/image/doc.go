// Command image builds the container image of Holdfast as an OCI layout, without a daemon and from scratch:
//
//	go run ./build/image -version v1.2.3 -out bin/image [-key key.pem]
//
// The image is an index of linux/amd64 and linux/arm64. Each has one layer: the static program, the roots of
// Mozilla's list that S3 over TLS is checked against, a user with the uid 65532, and /tmp. Every image has
// a list of what is in the program (SPDX 2.3) as its referrer, and, with a key, the index and the images have
// a signature that cosign verifies.
//
// The same source gives the same index, byte for byte, on every machine with the same Go: nothing of the clock,
// the paths, the users or the certificates of the machine goes in. Signatures differ: ECDSA takes a random number.
//
// Begin at main.go; the layout is written by layout.go.
package main
