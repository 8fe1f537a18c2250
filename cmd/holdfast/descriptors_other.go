//go:build !unix

package main

// descriptorLimit returns 0: no known limit.
func descriptorLimit() uint64 { return 0 }
