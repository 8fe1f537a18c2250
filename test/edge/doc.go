// Package edge runs real replicas with TLS behind a real HAProxy, with the files of deploy/haproxy, and real clients before it. It needs haproxy, curl and crane
// (scripts/tools.sh clients).
package edge
