package server

import "syscall"

// diskSpace is what is free on the disk of a directory, for a user without privileges, and how large the disk is, in bytes. false: it cannot be told.
func diskSpace(dir string) (free, size uint64, ok bool) {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil || fs.Bsize < 0 {
		return 0, 0, false
	}
	block := uint64(fs.Bsize)
	return fs.Bavail * block, fs.Blocks * block, true
}
