// Package more pushes and pulls with podman, buildah, Docker's engine,
// containerd, regctl and helm. Its programs are large and its daemons want root,
// so its tests run only where HOLDFAST_TEST_CLIENTS is set, as "make clients"
// does.
package more
