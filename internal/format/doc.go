// Package format is the storage format (docs/storage-format.md): the keys of records, what their values hold, and the few ways in which
// a value is read and swapped. Whoever writes to the store does it through this package, so that the rules for every key
// hold everywhere: a nonce in each value, a condition on each write, the deadline rule, dead values that a list shows as such. It knows
// no operation of a registry; registry and collect are made of it.
//
// Start with values.go.
package format
