//go:build !linux

package main

import (
	"context"
	"errors"
)

var errNotLinux = errors.New("kubernetes: a kubelet needs Linux")

func enter(context.Context, string, ...string) error { return errNotLinux }

func isolate() error { return errNotLinux }
