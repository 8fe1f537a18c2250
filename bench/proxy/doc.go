// Package proxy stands between a registry and its S3 server: it adds latency to each request, limits the bytes of each connection, and
// counts both. It parses only the heads of HTTP/1.1 and lets the kernel pass the bodies on, so that it takes little of the machine that
// it measures; nothing that it passes is changed, signatures hold.
package proxy
