package registry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"holdfast/internal/data"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// opens counts the readers of a store, and tells of each Open.
type opens struct {
	data.Store
	told chan data.ID

	mu     sync.Mutex
	opened int
	closed int
}

func (o *opens) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := o.Store.Open(ctx, id, offset, length)
	if o.told != nil {
		o.told <- id
	}
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened++
	return &countedReader{r, o}, nil
}

func (o *opens) take() (opened, closed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	opened, closed = o.opened, o.closed
	o.opened, o.closed = 0, 0
	return opened, closed
}

type countedReader struct {
	io.ReadCloser
	of *opens
}

func (c *countedReader) Close() error {
	c.of.mu.Lock()
	c.of.closed++
	c.of.mu.Unlock()
	return c.ReadCloser.Close()
}

// lateLinks answers for links once the data was asked for.
type lateLinks struct {
	record.Store
	after chan data.ID // nil: at once
}

func (l *lateLinks) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if l.after != nil && strings.HasPrefix(string(key), "l/") {
		<-l.after
	}
	return l.Store.Get(ctx, key)
}

// early is a replica that opens blobs early, with what it uses.
func (s *stores) early() (*registry.Local, *lateLinks, *opens) {
	s.t.Helper()
	records, segments := &lateLinks{Store: s.records}, &opens{Store: s.segments}
	l, err := registry.New(s.t.Context(), records, segments, registry.Config{OpenEarly: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	return l, records, segments
}

// readWhole is read, for a caller who has said so, as a request that ends.
func readWhole(t *testing.T, l *registry.Local, repo oci.Repository, d oci.Digest) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(registry.ExpectWhole(t.Context()))
	defer cancel()
	blob, err := l.Blob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	r, err := blob.Bytes.Open(ctx, 0, blob.Size)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// TestOpenEarly: the second read of a blob asks for its bytes before the link has been answered, and opens them once.
func TestOpenEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, records, segments := s.early()
		defer l.Close()
		d := s.push(l, "team/app", "hello")
		if _, err := readWhole(t, l, "team/app", d); err != nil {
			t.Fatal(err)
		}
		segments.take()
		segments.told = make(chan data.ID)
		records.after = segments.told // a deadlock, if the link comes first
		got, err := readWhole(t, l, "team/app", d)
		if err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		if opened, closed := segments.take(); opened != 1 || closed != 1 {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
	})
}

// TestOpenEarlyWithoutLink: the link decides. What was opened for nothing is closed.
func TestOpenEarlyWithoutLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, _, segments := s.early()
		defer l.Close()
		d := s.push(l, "team/app", "hello")
		if _, err := readWhole(t, l, "team/app", d); err != nil {
			t.Fatal(err)
		}
		segments.take()
		if _, err := readWhole(t, l, "other", d); !errors.Is(err, oci.ErrBlobUnknown) {
			t.Errorf("a repository without it: %v", err)
		}
		if err := s.replica().DeleteBlob(t.Context(), "team/app", d); err != nil {
			t.Fatal(err)
		}
		if _, err := readWhole(t, l, "team/app", d); !errors.Is(err, oci.ErrBlobUnknown) {
			t.Errorf("after a delete elsewhere: %v", err)
		}
		synctest.Wait()
		if opened, closed := segments.take(); opened != closed {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
	})
}

// TestOpenEarlyElsewhere: the bytes are where the link says now, and a reader for whom nobody comes is closed.
func TestOpenEarlyElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, _, segments := s.early()
		defer l.Close()
		d := s.push(l, "team/app", "hello")
		if _, err := readWhole(t, l, "team/app", d); err != nil {
			t.Fatal(err)
		}
		first, err := l.Blob(t.Context(), "team/app", d) // corrupted, and healed by another push
		if err != nil {
			t.Fatal(err)
		}
		var old []data.ID
		for entry, err := range s.segments.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			old = append(old, entry.ID)
		}
		for _, id := range old {
			if err := s.segments.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := first.Bytes.Open(t.Context(), 0, first.Size); err == nil {
			t.Fatal("its segment is gone")
		}
		s.push(s.replica(), "team/app", "hello")
		segments.take()
		if got, err := readWhole(t, l, "team/app", d); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}

		ctx, cancel := context.WithCancel(registry.ExpectWhole(t.Context()))
		if _, err := l.Blob(ctx, "team/app", d); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if opened, closed := segments.take(); opened != closed || opened == 0 {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
	})
}

// TestOpenEarlyForNobody: a client that has gone when its request is served costs nothing.
func TestOpenEarlyForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, _, segments := s.early()
		defer l.Close()
		d := s.push(l, "team/app", "hello")
		if _, err := readWhole(t, l, "team/app", d); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(registry.ExpectWhole(t.Context()))
		cancel()
		for range 1000 {
			if blob, err := l.Blob(gone, "team/app", d); err == nil {
				if r, err := blob.Bytes.Open(gone, 0, blob.Size); err == nil {
					_ = r.Close()
				}
			}
		}
		synctest.Wait()
		if opened, closed := segments.take(); opened != closed {
			t.Errorf("%d of %d readers were left open", opened-closed, opened)
		}
	})
}
