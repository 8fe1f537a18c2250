//go:build unix

package s3

import "syscall"

// newArena returns size zeroed bytes outside of Go's heap: the collector would otherwise let garbage
// grow to the size of the upload buffers before it runs. Pages cost memory from their first use on.
func newArena(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func freeArena(b []byte) error { return syscall.Munmap(b) }
