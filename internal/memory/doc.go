// Package memory tells how much memory the process may use, and shares it out between Go's heap and the
// buffers of uploads, which lie outside of it. The limit is that of the control groups that the process
// is in: what a container engine, Kubernetes or systemd (MemoryMax=) set. Start reading at Limit.
package memory
