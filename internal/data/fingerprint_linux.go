package data

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// settled is how long a file must have been as it is to have a fingerprint. The kernel's times of files go by its ticks, of 10 ms at most: of two
// changes within one, the second is not seen.
const settled = 50 * time.Millisecond

// Fingerprint joins what the kernel changes with every change of a file: the inode, its size, and the times of the last change of its content and of
// itself (ctime, which no program can set). It is "" for a file that was changed just now by the machine's clock, which is the kernel's; and where there
// is no telling.
func Fingerprint(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || time.Since(time.Unix(st.Ctim.Unix())) < settled {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d.%09d:%d.%09d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}
