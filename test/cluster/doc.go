// Package cluster starts the real parts of a Holdfast installation on this
// machine: S3 servers (versitygw, Ceph's radosgw), replicas of the registry and
// HAProxy, each a child process on a loopback port, and ends them again, by
// process id and nothing else. It serves tests, the benchmark and
// "make cluster"; it is no way to run a registry.
//
// Start reads like the list of parts. A part's file says how it is started and
// when it counts as ready.
package cluster
