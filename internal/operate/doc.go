// Package operate does what an operator asks for on the stores of a registry: collect, preview retention, scrub, check, give a token. One
// Request says what, and Do does it: in the process of a command that has opened the stores, or in the server that has them open already
// and was asked over its socket or its endpoint. What comes out is the same.
//
// Not for how a request comes in (server), nor for the work itself (collect, scrub, fsck). Start with Do; each kind of work has a file.
package operate
