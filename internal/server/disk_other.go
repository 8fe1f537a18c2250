//go:build !linux

package server

// diskSpace cannot be told here.
func diskSpace(string) (free, size uint64, ok bool) { return 0, 0, false }
