package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/data"
	"holdfast/internal/oci"
)

// keeping is a store that keeps in memory what its readers say is right, as data/s3 does.
type keeping struct {
	data.Store

	mu    sync.Mutex
	kept  map[data.ID][]byte
	proof map[data.ID]string
	lose  int // kept readers read so many bytes, and then go on in the store; -1: all
}

func newKeeping(next data.Store) *keeping {
	return &keeping{Store: next, kept: map[data.ID][]byte{}, proof: map[data.ID]string{}, lose: -1}
}

func (k *keeping) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if content, ok := k.kept[id]; ok {
		r := &keptReader{of: k, id: id, rest: content[offset : offset+length], proof: k.proof[id]}
		if k.lose >= 0 && offset == 0 && length == int64(len(content)) {
			r.cold = func() (io.ReadCloser, error) { return k.Store.Open(ctx, id, int64(k.lose), length-int64(k.lose)) }
			r.rest = content[:k.lose]
			delete(k.kept, id)
		}
		return r, nil
	}
	r, err := k.Store.Open(ctx, id, offset, length)
	if err != nil {
		return nil, err
	}
	return &keepingReader{ReadCloser: r, of: k, id: id}, nil
}

type keepingReader struct {
	io.ReadCloser
	of   *keeping
	id   data.ID
	read []byte
}

func (r *keepingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:min(len(p), 3)])
	r.read = append(r.read, p[:n]...)
	return n, err
}

func (r *keepingReader) Keep(proof string) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	r.of.kept[r.id], r.of.proof[r.id] = bytes.Clone(r.read), proof
}

type keptReader struct {
	of    *keeping
	id    data.ID
	rest  []byte
	proof string
	cold  func() (io.ReadCloser, error)
	next  io.ReadCloser
}

func (r *keptReader) Read(p []byte) (n int, err error) {
	switch {
	case r.next != nil:
		return r.next.Read(p)
	case len(r.rest) > 0:
		n = copy(p[:min(len(p), 2)], r.rest)
		r.rest = r.rest[n:]
		return n, nil
	case r.cold == nil:
		return 0, io.EOF
	}
	r.proof = ""
	if r.next, err = r.cold(); err != nil {
		return 0, err
	}
	return r.next.Read(p)
}

func (r *keptReader) Proof() string { return r.proof }

func (r *keptReader) Distrust() {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	delete(r.of.kept, r.id)
}

func (r *keptReader) Close() error {
	if r.next == nil {
		return nil
	}
	return r.next.Close()
}

// TestKept: a blob is kept once all of it was compared with its digest, is served from memory then, and as long as its link is there.
func TestKept(t *testing.T) {
	s := newStores(t)
	k := newKeeping(s.segments)
	l := s.open(s.records, k)
	d := s.push(l, "a", "a layer")
	s.push(l, "b", "a layer") // a record that is still linked when the first link has gone
	if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
		t.Fatalf("%q, %v", got, err)
	}
	if len(k.kept) != 1 {
		t.Fatalf("%d segments are kept", len(k.kept))
	}
	for id, content := range k.kept {
		if string(content) != "a layer" || k.proof[id] != string(d) {
			t.Errorf("%q is kept as %s", content, k.proof[id])
		}
		if err := s.segments.Delete(t.Context(), id); err != nil { // nobody reads the store
			t.Fatal(err)
		}
	}
	for range 2 {
		if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := s.replica().DeleteBlob(t.Context(), "a", d); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, l, "a", d); !errors.Is(err, oci.ErrBlobUnknown) {
		t.Errorf("without a link: %q, %v", got, err)
	}
}

// TestKeptOfAnother: what was kept as another digest's is no proof: it is hashed, as a copy.
func TestKeptOfAnother(t *testing.T) {
	s := newStores(t)
	k := newKeeping(s.segments)
	l := s.open(s.records, k)
	d := s.push(l, "a", "a layer")
	if _, err := read(t, l, "a", d); err != nil {
		t.Fatal(err)
	}
	for id := range k.kept {
		k.kept[id], k.proof[id] = []byte("A LAYER"), "sha256:another"
	}
	if got, err := read(t, l, "a", d); err == nil {
		t.Errorf("%q was served", got)
	}
	if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// TestNotKept: damaged bytes are not kept, and neither is what a client left in the middle.
func TestNotKept(t *testing.T) {
	s := newStores(t)
	k := newKeeping(s.segments)
	l := s.open(s.records, k)
	d := s.push(l, "a", "a layer")
	blob, err := l.Blob(t.Context(), "a", d)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ offset, length, read int64 }{{0, blob.Size, blob.Size - 1}, {0, blob.Size - 1, blob.Size - 1}, {1, blob.Size - 1, blob.Size - 1}} {
		r, err := blob.Bytes.Open(t.Context(), c.offset, c.length)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, c.read)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(k.kept) != 0 {
		t.Error("a part was kept")
	}
	k.Store = wrong{s.segments}
	if got, err := read(t, l, "a", d); err == nil {
		t.Errorf("%q was served", got)
	}
	if len(k.kept) != 0 {
		t.Error("damaged bytes were kept")
	}
}

// wrong is a store whose bytes are not what was written.
type wrong struct{ data.Store }

func (w wrong) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := w.Store.Open(ctx, id, offset, length)
	if err != nil {
		return nil, err
	}
	return flipped{r}, nil
}

// TestKeptIsTakenAway: the memory goes in the middle of a read. What is read of the store is compared with the digest all the same, with what it
// has of the beginning; and a client never gets all of what is wrong.
func TestKeptIsTakenAway(t *testing.T) {
	for lose := range len("a layer") {
		s := newStores(t)
		k := newKeeping(s.segments)
		l := s.open(s.records, k)
		d := s.push(l, "a", "a layer")
		for range 2 {
			if k.lose = lose; len(k.kept) == 0 {
				k.lose = -1
			}
			if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
				t.Errorf("after %d bytes: %q, %v", lose, got, err)
			}
		}
		k.lose = -1
		if _, err := read(t, l, "a", d); err != nil || len(k.kept) != 1 {
			t.Fatalf("%d kept, %v", len(k.kept), err)
		}
		k.lose, k.Store = lose, wrong{s.segments}
		if got, err := read(t, l, "a", d); err == nil || !strings.HasPrefix("a layer", string(got[:min(lose, len(got))])) || len(got) == len("a layer") {
			t.Errorf("after %d bytes of damaged ones: %q, %v", lose, got, err)
		}
		k.Store = s.segments
		if got, err := read(t, l, "a", d); err != nil || string(got) != "a layer" {
			t.Errorf("it was marked for a copy's sake: %q, %v", got, err)
		}
	}
}
