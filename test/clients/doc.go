// Package clients tests the registry with the programs that people use: basic
// with crane, skopeo and oras, more with podman, buildah, Docker's engine,
// containerd, regctl and helm. This package has what both need: images made of
// random bytes, a cluster to push them to, and a look at what has arrived that
// no client has a part in.
package clients
