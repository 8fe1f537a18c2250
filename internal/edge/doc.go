// Package edge is what stands between the network and those who serve: where a request really comes from (peers), what a client may take (limits),
// and whose pages may ask (CORS). It answers nothing itself: package server does, by what is decided here. Package certs below it keeps the server's certificate.
// Nothing here is shared between replicas: a limit is one of each replica.
package edge
