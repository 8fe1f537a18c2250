package file

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fingerprint joins what the kernel changes with every change of a file: the inode, its size, and the
// times of the last change of its content and of itself (ctime, which no program can set).
func fingerprint(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d.%09d:%d.%09d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}
