package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3/s3test"
)

// pullWhole reads a segment as a pull does that compares it with its digest.
func pullWhole(t *testing.T, store data.Store, id data.ID, want []byte) {
	t.Helper()
	r, err := store.Open(t.Context(), id, 0, int64(len(want)))
	if err != nil {
		t.Error(err)
		return
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of segment %s: wrong bytes, or %v", len(want), id, err)
	} else if k, ok := r.(data.KeepingReader); ok {
		k.Keep("proof of " + string(id))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// warmStore returns a store over some memory, that counts its reads, and segments of so many bytes.
func warmStore(t *testing.T, budget *datas3.Budget, sizes ...int) (*datas3.ClientStore, []data.ID, [][]byte, *bytesCounter) {
	t.Helper()
	var counted bytesCounter
	store, _ := open(t, s3test.Servers(t)[0], budget, counted.Wrap)
	ids, contents := make([]data.ID, len(sizes)), make([][]byte, len(sizes))
	for i, size := range sizes {
		contents[i] = random(t, size)
		var err error
		if ids[i], err = write(t, store, contents[i]); err != nil {
			t.Fatal(err)
		}
	}
	return store.Clients(), ids, contents, &counted
}

func same(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

// TestWarm: what was read whole, and kept, is read without a request, all of it and parts.
func TestWarm(t *testing.T) {
	for _, size := range []int{1, 256<<10 - 1, 256 << 10, 1_000_000, 8 * mib} {
		store, ids, contents, counted := warmStore(t, newBudget(t, 64*mib), size)
		id, content := ids[0], contents[0]
		pullWhole(t, store, id, content)
		if requests, n := counted.take(); requests != 1 || n != int64(size) {
			t.Errorf("%d bytes, first: %d requests, %d bytes", size, requests, n)
		}
		for _, c := range []struct{ offset, length int }{{0, size}, {0, -1}, {size / 3, (size + 1) / 2}, {size - 1, 1}, {size / 2, -1}, {size, -1}} {
			r, err := store.Open(t.Context(), id, int64(c.offset), int64(c.length))
			if err != nil {
				t.Fatal(err)
			}
			if k, ok := r.(data.KeptReader); !ok || k.Proof() != "proof of "+string(id) {
				t.Fatalf("%+v of %d bytes is not read from memory", c, size)
			}
			got, err := io.ReadAll(r)
			want := content[c.offset:]
			if c.length >= 0 {
				want = want[:c.length]
			}
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%+v of %d: %d bytes, %v", c, size, len(got), err)
			}
		}
		if requests, _ := counted.take(); requests != 0 {
			t.Errorf("%d bytes, again: %d requests", size, requests)
		}
		if hits, misses := store.WarmReads().Hits.Load(), store.WarmReads().Misses.Load(); hits != 6 || misses != 1 {
			t.Errorf("%d hits, %d misses", hits, misses)
		}
		r, err := store.Open(t.Context(), id, 0, int64(size+1)) // more than there is: the store says what then
		if err == nil {
			_, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
		}
		if size < 8*mib && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("more than all of %d bytes: %v", size, err)
		}
	}
}

// TestNotWarm: what nobody said is right is not kept, nor what was read in part, nor what is too large for the memory.
func TestNotWarm(t *testing.T) {
	const size = mib
	budget := newBudget(t, 16*mib)
	store, ids, contents, counted := warmStore(t, budget, size, 3*mib)
	id, content := ids[0], contents[0]
	readPart := func(ctx context.Context, offset, length, read int64, keep bool) {
		r, err := store.Open(ctx, id, offset, length)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, read)); err != nil {
			t.Fatal(err)
		}
		if k, ok := r.(data.KeepingReader); ok && keep {
			k.Keep("proof")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	readPart(t.Context(), 0, size, size, false)
	readPart(t.Context(), 0, size, size-1, true)
	readPart(t.Context(), 0, size-1, size-1, true)
	readPart(t.Context(), 1, size-1, size-1, true)
	if requests, _ := counted.take(); requests != 4 || budget.Warm() != 0 {
		t.Errorf("%d requests, %d bytes are held", requests, budget.Warm())
	}
	pullWhole(t, store, ids[1], contents[1])
	pullWhole(t, store, ids[1], contents[1])
	if requests, _ := counted.take(); requests != 2 || budget.Warm() != 0 {
		t.Errorf("a segment of 3 MiB, memory of 16: %d requests, %d bytes are held", requests, budget.Warm())
	}

	pullWhole(t, store, id, content)
	counted.take()
	r, err := store.Open(t.Context(), id, 0, size)
	if err != nil {
		t.Fatal(err)
	}
	r.(data.CopyReader).Distrust()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	pullWhole(t, store, id, content)
	if requests, _ := counted.take(); requests != 1 {
		t.Errorf("what is not trusted: %d requests", requests)
	}

	ctx, cancel := context.WithCancel(t.Context())
	if r, err = store.Open(ctx, id, 0, size); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("a reader whose client has gone: %d bytes, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestWarmDeleted: what is deleted here is not found by who opens it later, though it was in memory, or just on its way there.
func TestWarmDeleted(t *testing.T) {
	budget := newBudget(t, 16*mib)
	store, ids, contents, _ := warmStore(t, budget, mib, mib)
	pullWhole(t, store, ids[0], contents[0])
	begun, err := store.Open(t.Context(), ids[1], 0, mib)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := store.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, begun); err == nil { // some stores go on with what they began
		begun.(data.KeepingReader).Keep("proof")
	}
	if err := begun.Close(); err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if _, err := store.Open(t.Context(), id, 0, mib); !errors.Is(err, data.ErrNotFound) {
			t.Errorf("after the delete: %v", err)
		}
	}
	if budget.Warm() != 0 {
		t.Errorf("%d bytes are held", budget.Warm())
	}
}

// TestWarmGivesWay: with all memory full of what nobody reads, writers have all of it at once, and readers all that they may be lent.
func TestWarmGivesWay(t *testing.T) {
	const total = 16 * mib
	budget := newBudget(t, total)
	store, ids, contents, counted := warmStore(t, budget, same(16, mib)...)
	fill := func() {
		t.Helper()
		for i := range ids {
			pullWhole(t, store, ids[i], contents[i])
		}
		if budget.Warm() != total {
			t.Fatalf("%d bytes are held", budget.Warm())
		}
		if used, _ := budget.InUse(); used != 0 {
			t.Fatalf("%d bytes in use by writers", used)
		}
	}
	fill()
	reading, err := store.Open(t.Context(), ids[3], 0, mib)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, mib)
	if _, err := io.ReadFull(reading, got[:mib/2]); err != nil {
		t.Fatal(err)
	}
	counted.take()
	if taken := budget.TakeAll(store.Store); taken != total {
		t.Errorf("writers had %d bytes of %d at once", taken, int64(total))
	}
	if budget.Warm() != 0 {
		t.Errorf("%d bytes are held", budget.Warm())
	}
	// Who was reading goes on in the store.
	if n, err := io.ReadFull(reading, got[mib/2:]); err != nil || !bytes.Equal(got, contents[3]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if proof := reading.(data.KeptReader).Proof(); proof != "" {
		t.Errorf("what was read in the store is said to be kept: %q", proof)
	}
	if n, err := reading.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
	if err := reading.Close(); err != nil {
		t.Error(err)
	}
	if requests, n := counted.take(); requests != 1 || n != mib/2 {
		t.Errorf("the rest of a segment: %d requests, %d bytes", requests, n)
	}

	fill()
	lent := budget.Lend(budget.Lendable(), 0)
	if len(lent) == 0 || budget.Warm() != total-budget.Lendable() {
		t.Errorf("%d chunks lent, %d bytes are held", len(lent), budget.Warm())
	}
	if more := budget.Lend(1, 0); more != nil || budget.Warm() != total-budget.Lendable() {
		t.Errorf("beyond what may be lent: %d chunks, %d bytes are held", len(more), budget.Warm())
	}
	if taken := budget.TakeAll(store.Store); taken != total-budget.Lendable() {
		t.Errorf("writers had %d bytes at once", taken)
	}
	budget.Return(lent)
	if taken := budget.TakeAll(store.Store); taken != total {
		t.Errorf("writers had %d bytes of %d at once", taken, int64(total))
	}
}

// TestScan: who reads much of what is read once only takes the memory of what was read once only.
func TestScan(t *testing.T) {
	budget := newBudget(t, 16*mib)
	store, ids, contents, counted := warmStore(t, budget, same(48, mib)...)
	for range 2 {
		for i := range 8 {
			pullWhole(t, store, ids[i], contents[i])
		}
	}
	for i := 8; i < len(ids); i++ {
		pullWhole(t, store, ids[i], contents[i])
	}
	counted.take()
	for i := range 8 {
		pullWhole(t, store, ids[i], contents[i])
	}
	if requests, _ := counted.take(); requests != 0 {
		t.Errorf("%d requests for what was read often", requests)
	}
	// What is read often now comes in the place of what was.
	for range 2 {
		for i := 40; i < 48; i++ {
			pullWhole(t, store, ids[i], contents[i])
		}
	}
	for i := 40; i < 48; i++ {
		pullWhole(t, store, ids[i], contents[i])
	}
	counted.take()
	for i := 40; i < 48; i++ {
		pullWhole(t, store, ids[i], contents[i])
	}
	if requests, _ := counted.take(); requests != 0 {
		t.Errorf("%d requests for what is read often now", requests)
	}
}

// TestWarmAtOnce has many read and write at once, over little memory: all get their own bytes, and none of the memory is lost.
func TestWarmAtOnce(t *testing.T) {
	const total = 16 * mib
	budget := newBudget(t, total)
	store, ids, contents, _ := warmStore(t, budget, same(24, mib-17)...)
	large := random(t, 20*mib)
	largeID, err := write(t, store.Store, large)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for round := range 40 {
				at := (i*7 + round*round) % len(ids)
				pullWhole(t, store, ids[at], contents[at])
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 3 {
				if got, err := readAll(t, store, largeID, len(large)); err != nil || !bytes.Equal(got, large) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
		wg.Go(func() {
			for range 3 {
				content := random(t, 12*mib)
				pushed, err := push(t, store.Store, content)
				if err != nil || !bytes.Equal(pull(t, store.Store, pushed), content) {
					t.Errorf("a push of %d segments: %v", len(pushed), err)
				}
			}
		})
	}
	wg.Wait()
	if taken := budget.TakeAll(store.Store); taken != total {
		t.Errorf("of %d bytes only %d can be had", int64(total), taken)
	}
}

// TestWarmFaults: when the store breaks off or has another object after the memory was taken away, the reader says so.
func TestWarmFaults(t *testing.T) {
	other := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Etag", `"another"`)
		}
		return resp, err
	}
	for i, fault := range []s3test.Fault{other, s3test.Answer(403, "AccessDenied"), s3test.Answer(404, "NoSuchKey")} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			const size = mib
			budget := newBudget(t, 16*mib)
			store, id, content, _ := clientStore(t, size, budget, s3test.Faults("GetObject", nil, fault))
			pullWhole(t, store, id, content)
			r, err := store.Open(t.Context(), id, 0, size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, make([]byte, size/2)); err != nil {
				t.Fatal(err)
			}
			budget.TakeAll(store.Store)
			n, err := r.Read(make([]byte, size))
			if n != 0 || !errors.Is(err, data.ErrUnavailable) && !errors.Is(err, data.ErrNotFound) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if _, again := r.Read(make([]byte, size)); !errors.Is(again, err) {
				t.Errorf("then %v", again)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
