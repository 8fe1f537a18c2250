//go:build unix

package move

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked says that another process writes to a layout.
var ErrLocked = errors.New("another backup or export writes to it")

// lock makes this process the only one that writes to a layout, until the function that it returns is called or the process ends. Errors: ErrLocked.
func (l *Layout) lock() (unlock func() error, err error) {
	path := filepath.Join(l.dir, tempPrefix+"lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &LayoutError{err}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("move: lock %s: %w", l.dir, err), f.Close())
	}
	return f.Close, nil
}
