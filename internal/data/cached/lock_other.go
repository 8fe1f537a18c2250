//go:build !unix

package cached

import (
	"errors"
	"os"
)

func lockFile(*os.File) error { return errors.New("directories cannot be locked on this system") }
