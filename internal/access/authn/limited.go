package authn

import (
	"errors"
	"time"
)

// Limited reports whether an error of Handler.CheckPassword is that there were too many failures, and how long to wait.
func Limited(err error) (wait time.Duration, is bool) {
	var limited *limitedError
	if !errors.As(err, &limited) {
		return 0, false
	}
	return limited.wait, true
}
