package registry_test

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"holdfast/internal/oci"
)

// A delete of a damaged blob that dies at any request never makes it look whole.
func TestADeleteOfADamagedBlobThatDies(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for n := range int64(8) {
			t.Run(fmt.Sprintf("applied %t, from request %d", applied, n), func(t *testing.T) {
				s := newStores(t)
				var on atomic.Bool
				var left atomic.Int64
				left.Store(1 << 40)
				l := s.open(failing{s.records, &left, applied}, damaged{s.segments, &on, func(r io.ReadCloser) io.ReadCloser { return flipped{r} }})
				d := s.push(l, "a", "a layer")
				on.Store(true)
				if _, err := read(t, l, "a", d); err == nil {
					t.Fatal("damaged bytes were served")
				}
				left.Store(n)
				deleted := l.DeleteBlob(t.Context(), "a", d)
				left.Store(1 << 40)
				if _, err := l.StatBlob(t.Context(), "a", d); !errors.Is(err, oci.ErrBlobUnknown) {
					t.Errorf("HEAD: %v, want BLOB_UNKNOWN", err)
				}
				if err := l.DeleteBlob(t.Context(), "a", d); err != nil && deleted != nil && !errors.Is(err, oci.ErrBlobUnknown) {
					t.Errorf("the same delete again: %v", err)
				}
			})
		}
	}
}
