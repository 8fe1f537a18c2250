// Package image tests the container image: two builds are one, a client pushes it with its referrers to a cluster
// of three replicas, and podman pulls it from there and runs it. It is run by `make image-test`; what can be
// tested without building the program twice is tested in build/image.
package image
