//go:build unix

package cached

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks f until it is closed, or the process ends. Errors: ErrInUse.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
