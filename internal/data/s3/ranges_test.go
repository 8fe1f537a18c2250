package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/data/shared"
	"holdfast/internal/s3/s3test"
)

const mib = 1 << 20

// clientStore returns a store with a segment of size random bytes, and what counts its reads from then on.
func clientStore(t *testing.T, size int, budget *datas3.Budget, wrap func(http.RoundTripper) http.RoundTripper) (*datas3.ClientStore, data.ID, []byte, *bytesCounter) {
	t.Helper()
	var counted bytesCounter
	store, _ := open(t, s3test.Servers(t)[0], budget, func(next http.RoundTripper) http.RoundTripper {
		if wrap != nil {
			next = wrap(next)
		}
		return counted.Wrap(next)
	})
	content := random(t, size)
	id, err := write(t, store, content)
	if err != nil {
		t.Fatal(err)
	}
	return store.Clients(), id, content, &counted
}

func readAll(t *testing.T, store data.Store, id data.ID, size int) ([]byte, error) {
	t.Helper()
	r, err := store.Open(t.Context(), id, 0, int64(size))
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// TestClientReads states what a read for a client costs: a request for each 8 MiB, each byte once.
func TestClientReads(t *testing.T) {
	for _, c := range []struct{ size, requests int }{
		{1, 1}, {shared.ChunkBytes, 1}, {shared.ChunkBytes + 1, 2}, {40*mib + 7, 6},
	} {
		store, id, content, counted := clientStore(t, c.size, newBudget(t, 128<<20), nil)
		got, err := readAll(t, store, id, c.size)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes of %d, %v", len(got), c.size, err)
		}
		if requests, n := counted.take(); requests != int64(c.requests) || n != int64(c.size) {
			t.Errorf("%d bytes: %d requests and %d bytes, want %d requests", c.size, requests, n, c.requests)
		}
	}
}

// TestAtOnce has 64 clients read one segment at once: the store is read once.
func TestAtOnce(t *testing.T) {
	const size = 64 * mib
	store, id, content, counted := clientStore(t, size, newBudget(t, 256<<20), nil)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			r, err := store.Open(t.Context(), id, 0, size)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close() //nolint:errcheck // read to its end
			p := make([]byte, 256<<10)
			for at := 0; at < size; {
				n, err := io.ReadFull(r, p)
				if err != nil || !bytes.Equal(p[:n], content[at:at+n]) {
					t.Errorf("%d bytes at %d: %v", n, at, err)
					return
				}
				at += n
			}
		})
	}
	wg.Wait()
	if requests, n := counted.take(); n > size*12/10 {
		t.Errorf("%d requests and %d bytes for %d", requests, n, size)
	}
	if c := store.Reads(); c.Shared+c.Alone != 64*size {
		t.Errorf("%+v", c)
	}
}

// TestChunkFaults is TestReadResumes for reads in chunks.
func TestChunkFaults(t *testing.T) {
	other := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Etag", `"another"`)
		}
		return resp, err
	}
	forbidden := s3test.Answer(403, "AccessDenied")
	for _, c := range []struct {
		name   string
		faults []s3test.Fault
		ok     bool
	}{
		{"broken six times, with progress", []s3test.Fault{broken(mib), broken(mib), broken(mib), broken(mib), broken(mib), broken(mib)}, true},
		{"500 once in each chunk", []s3test.Fault{s3test.Answer(500, "InternalError"), nil, s3test.Answer(500, "InternalError"), nil, s3test.Answer(500, "InternalError")}, true},
		{"a chunk is refused once", []s3test.Fault{nil, forbidden}, true},
		{"a chunk is refused", []s3test.Fault{nil, forbidden, forbidden, forbidden, forbidden, forbidden, forbidden}, false},
		{"gone after the first chunk", []s3test.Fault{nil, s3test.Answer(404, "NoSuchKey"), s3test.Answer(404, "NoSuchKey"), s3test.Answer(404, "NoSuchKey"), s3test.Answer(404, "NoSuchKey")}, false},
		{"another object after the first chunk", []s3test.Fault{nil, other, other, other, other, other, other}, false},
		{"broken, then another object", []s3test.Fault{nil, broken(mib), other, other, other, other, other, other}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const size = 30 * mib
			store, id, content, _ := clientStore(t, size, newBudget(t, 128<<20), s3test.Faults("GetObject", c.faults...))
			got, err := readAll(t, store, id, size)
			switch {
			case !bytes.HasPrefix(content, got):
				t.Error("wrong bytes")
			case c.ok && (err != nil || len(got) != len(content)):
				t.Errorf("%d of %d bytes, %v", len(got), len(content), err)
			case !c.ok && !errors.Is(err, data.ErrUnavailable) && !errors.Is(err, data.ErrNotFound):
				t.Errorf("%d of %d bytes, %v", len(got), len(content), err)
			}
		})
	}
}

// TestDeletedWhileRead: who opens a segment after it was deleted does not find it, though others still read it.
func TestDeletedWhileRead(t *testing.T) {
	const size = 40 * mib
	store, id, content, _ := clientStore(t, size, newBudget(t, 128<<20), nil)
	first, err := store.Open(t.Context(), id, 0, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), id, 0, size); !errors.Is(err, data.ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	got, err := io.ReadAll(first)
	if !bytes.HasPrefix(content, got) || err == nil && len(got) != size {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// TestLent: readers have half of the memory at most, and give writers back what they do not need.
func TestLent(t *testing.T) {
	const size = 64 * mib
	budget := newBudget(t, 64<<20)
	store, id, content, _ := clientStore(t, size, budget, nil)
	first, err := store.Open(t.Context(), id, 0, size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(first, make([]byte, 40*mib)); err != nil {
		t.Fatal(err)
	}
	if used, total := budget.InUse(); used != 0 || total != 64<<20 || budget.Lendable() != total/2 {
		t.Errorf("%d of %d bytes in use by writers, %d to lend", used, total, budget.Lendable())
	}
	more := random(t, 80*mib)
	ids, err := push(t, store.Store, more)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pull(t, store.Store, ids), more) {
		t.Error("the writer's content differs")
	}
	rest, err := io.ReadAll(first)
	if err != nil || !bytes.Equal(rest, content[40*mib:]) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}
