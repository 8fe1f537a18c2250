// Package spec is the distribution-spec (main, after v1.1.1) as tables of raw
// HTTP exchanges: what one writes to the socket and what must come back. A
// second set of rows, numbered A and B, holds attacks and bad input with the
// clear answer that each deserves.
//
// Run plays every row against a Target; a row has repositories of its own, so
// rows run at once and against a registry in use. Nothing of a client library
// stands between a row and the wire, so that paths, lengths and headers arrive
// as written.
//
// Start with row.go for the form of a row, then any table, such as pull.go.
package spec
