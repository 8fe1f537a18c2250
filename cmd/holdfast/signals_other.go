//go:build !unix

package main

import (
	"context"
	"os"
)

// hangups gets nothing: there is no such signal.
func hangups() <-chan os.Signal { return nil }

// dumpOnSignal does nothing: there is no such signal.
func dumpOnSignal(context.Context) {}
