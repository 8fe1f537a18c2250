package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"holdfast/internal/oci"
)

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns()
		var held [][]byte
		for range largeAtOnce {
			buf, err := all.take(t.Context())
			if err != nil || len(buf) != manifestBuffer {
				t.Fatalf("%d bytes, %v", len(buf), err)
			}
			held = append(held, buf)
		}
		if _, err := all.take(t.Context()); !errors.Is(err, &oci.Error{Code: oci.TooManyRequests}) {
			t.Errorf("when all are taken: %v, want TOOMANYREQUESTS", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := all.take(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has left: %v", err)
		}
		all <- held[0]
		if _, err := all.take(t.Context()); err != nil {
			t.Errorf("one was given back: %v", err)
		}
	})
}
