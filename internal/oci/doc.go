// Package oci holds the words of the OCI specifications: repositories, tags, digests, references,
// descriptors, manifests and errors. It is pure: it parses and checks, it does no I/O. Everything that
// comes from outside is parsed here once, at the edge; behind the edge the types speak for themselves.
// Start with names.go; manifest.go has the strict reading of manifests.
package oci
