//go:build !unix

package main

import (
	"context"
	"os"
)

// hangups gets nothing: there is no such signal.
func hangups() (got <-chan os.Signal, stop func()) { return nil, func() {} }

// dumpOnSignal does nothing: there is no such signal.
func dumpOnSignal(context.Context) {}
