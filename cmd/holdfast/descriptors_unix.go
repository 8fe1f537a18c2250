//go:build unix

package main

import "syscall"

// descriptorLimit returns how many files and connections this process may have open; Go has raised its
// soft limit to the hard one by now. 0 is no known limit.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
