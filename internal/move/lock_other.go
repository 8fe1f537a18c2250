//go:build !unix

package move

import "errors"

// ErrLocked says that another process writes to a layout.
var ErrLocked = errors.New("another backup or export writes to it")

// lock does nothing here: whoever calls sees to it that one at a time writes to a layout.
func (l *Layout) lock() (unlock func() error, err error) { return func() error { return nil }, nil }
