package s3_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3/s3test"
)

// push writes content as the registry does: a segment that is full is committed and another one begun.
func push(t *testing.T, store *datas3.Store, content []byte) (ids []data.ID, err error) {
	t.Helper()
	for len(content) > 0 {
		id := newID(t)
		w, err := store.Create(t.Context(), id)
		if err != nil {
			return nil, err
		}
		n, err := w.Write(content)
		if err != nil && !errors.Is(err, data.ErrFull) {
			w.Abort()
			return nil, err
		}
		size, err := w.Commit(t.Context())
		if err != nil {
			return nil, err
		}
		if size != int64(n) {
			t.Errorf("Write took %d bytes, Commit says %d", n, size)
		}
		ids = append(ids, id)
		content = content[n:]
	}
	return ids, nil
}

func pull(t *testing.T, store *datas3.Store, ids []data.ID) (content []byte) {
	t.Helper()
	for _, id := range ids {
		got, err := read(t, store, id)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		content = append(content, got...)
	}
	return content
}

// TestIdleClients: clients that have sent something and send no more hold all the memory; a fast one
// comes through, and theirs is not lost.
func TestIdleClients(t *testing.T) {
	const budget, idle = 4 << 20, 20
	server := s3test.Servers(t)[0]
	store, _ := open(t, server, newBudget(t, budget), nil)
	contents := make([][]byte, idle)
	writers := make([]data.Writer, idle)
	ids := make([]data.ID, idle)
	// A chunk and a bit each: 40 chunks, and there are 16. So some of these are sealed already.
	taken := make([]int, idle)
	for i := range writers {
		contents[i], ids[i] = random(t, 300_000), newID(t)
		var err error
		if writers[i], err = store.Create(t.Context(), ids[i]); err != nil {
			t.Fatal(err)
		}
		if taken[i], err = writers[i].Write(contents[i]); err != nil && !errors.Is(err, data.ErrFull) {
			t.Fatal(err)
		}
	}
	fast := random(t, 16<<20)
	begin := time.Now()
	fastIDs, err := push(t, store, fast)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("16 MiB beside %d idle clients: %d segments in %s", idle, len(fastIDs), time.Since(begin))
	if !bytes.Equal(pull(t, store, fastIDs), fast) {
		t.Error("the fast client's content differs")
	}
	for i, w := range writers {
		n, err := w.Write([]byte("more"))
		if err != nil && !errors.Is(err, data.ErrFull) {
			t.Fatal(err)
		}
		size, err := w.Commit(t.Context())
		if err != nil || size != int64(taken[i]+n) {
			t.Fatalf("commit: %d bytes, %v; want %d", size, err, taken[i]+n)
		}
		want := append(bytes.Clone(contents[i][:taken[i]]), "more"[:n]...)
		wantContent(t, store, ids[i], want)
	}
}

// TestManyWriters: far more memory is wanted than there is; all come through, with their own bytes.
func TestManyWriters(t *testing.T) {
	const writers, size = 20, 2 << 20
	store, _ := open(t, s3test.Servers(t)[0], newBudget(t, 4<<20), nil)
	var wg sync.WaitGroup
	segments := make([]int, writers)
	for i := range writers {
		wg.Go(func() {
			content := random(t, size)
			ids, err := push(t, store, content)
			if err != nil {
				t.Errorf("push: %v", err)
				return
			}
			segments[i] = len(ids)
			if !bytes.Equal(pull(t, store, ids), content) {
				t.Error("content differs")
			}
		})
	}
	wg.Wait()
	t.Logf("segments: %v", segments)
}

// TestAbandoned: writers that wait for memory leave when their context ends, and give back what they hold.
func TestAbandoned(t *testing.T) {
	server := s3test.Servers(t)[0]
	budget := newBudget(t, 1<<20)
	store, _ := open(t, server, budget, nil)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			w, err := store.Create(t.Context(), newID(t))
			if err != nil {
				t.Error(err)
				return
			}
			_, err = io.Copy(w, bytes.NewReader(random(t, 600_000)))
			if err != nil && !errors.Is(err, data.ErrFull) {
				t.Error(err)
			}
			if i%2 == 0 {
				w.Abort()
			} else if _, err := w.Commit(t.Context()); err != nil {
				t.Error(err)
			}
			w.Abort()
		})
	}
	wg.Wait()
	if used, _ := budget.InUse(); used != 0 {
		t.Errorf("%d bytes are still in use", used)
	}
}
