// Package rows says what is measured: a row is a small value that tells what is there before, what its clients do, and how many there are.
// A bar is what a row must reach against a peer, or against the limit of the machine. Start with Table.
package rows
