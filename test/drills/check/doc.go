// Package check judges a history of package load: what was acknowledged must be
// there, what was deleted must not, bytes must be right, and "not found" must be
// true. It follows each client alone, whose requests come one after the other, and
// takes a write whose outcome is not known as one that may happen at any later time,
// once or never.
//
// It is exact for what one client owns. Of what clients share it asks that a tag which
// all set is no older than what was acknowledged before the read, and is in every list,
// and that a blob which nobody deletes is there for all once any of them was told so.
package check
