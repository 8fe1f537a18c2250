//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangups gets a value with each SIGHUP, which ends the process no more: a reload that comes while it drains must not cut off what is in flight.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// dumpOnSignal writes a dump with each SIGUSR1 until ctx ends.
func dumpOnSignal(ctx context.Context) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	for {
		select {
		case <-c:
			dump()
		case <-ctx.Done():
			return
		}
	}
}
