package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/internal/oci"
	"holdfast/internal/record"
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

// A record under a key that is none of ours is the store's trouble, and is never said to be the request's.
func TestADeleteOfABlobBesideAStrangeKey(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	s.manifest(l, "a", "one")
	d := s.push(l, "a", "a layer that nothing refers to")
	var strange record.Key
	for entry, err := range s.records.List(t.Context(), "r/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if folder, _, found := strings.Cut(string(entry.Key), "/m/"); found {
			strange = record.Key(folder + "/m/strange")
		}
	}
	if _, err := s.records.Put(t.Context(), strange, bytes.Repeat([]byte{'x'}, 2000), record.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	err := l.DeleteBlob(t.Context(), "a", d)
	var refused *oci.Error
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "strange") {
		t.Errorf("DeleteBlob = %v, want an error that names the key and is not the client's", err)
	}
	if _, err := l.StatBlob(t.Context(), "a", d); err != nil {
		t.Errorf("the blob after the delete that failed: %v", err)
	}
}
