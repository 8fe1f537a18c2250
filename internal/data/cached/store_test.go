package cached_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/cached"
	"holdfast/internal/data/datatest"
	"holdfast/internal/data/mem"
)

// far is a store that counts what it is asked, and may be slow.
type far struct {
	data.Store
	opens, bytes atomic.Int64
	wait         func() // before each read; nil: none
	cut          int64  // bytes of a reader after which it fails; 0: it does not
}

var errCut = errors.New("cut")

func (f *far) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	f.opens.Add(1)
	r, err := f.Store.Open(ctx, id, offset, length)
	if err != nil {
		return nil, err
	}
	return &farReader{ReadCloser: r, of: f}, nil
}

type farReader struct {
	io.ReadCloser
	of   *far
	read int64
}

func (r *farReader) Read(p []byte) (int, error) {
	if r.of.wait != nil {
		r.of.wait()
	}
	if r.of.cut > 0 {
		if r.read >= r.of.cut {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), r.of.cut-r.read)]
	}
	n, err := r.ReadCloser.Read(p)
	r.read += int64(n)
	r.of.bytes.Add(int64(n))
	return n, err
}

type fixture struct {
	*testing.T
	far *far
	dir string
	*cached.Store
	log bytes.Buffer
}

const mib = 1 << 20

func newFixture(t *testing.T, most int64) *fixture {
	t.Helper()
	f := &fixture{T: t, far: &far{Store: mem.New(mem.Config{})}, dir: filepath.Join(t.TempDir(), "cache")}
	f.open(most)
	t.Cleanup(f.close)
	return f
}

func (f *fixture) open(most int64) {
	f.Helper()
	var err error
	if f.Store, err = cached.New(f.Context(), f.far, cached.Config{Dir: f.dir, MaxBytes: most}, slog.New(slog.NewTextHandler(&f.log, nil))); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) close() {
	if err := f.Close(); err != nil {
		f.Error(err)
	}
}

func id(n int) data.ID { return data.ID(fmt.Sprintf("%032x", n)) }

func (f *fixture) put(n, size int) []byte {
	f.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(size)}).Read(content)
	w, err := f.Create(f.Context(), id(n))
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		_, err = w.Commit(f.Context())
	}
	if err != nil {
		f.Fatal(err)
	}
	return content
}

func (f *fixture) read(n int, offset, length int64) ([]byte, error) {
	r, err := f.Open(f.Context(), id(n), offset, length)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// want reads a segment and says how many reads of the store that took.
func (f *fixture) want(n int, content []byte, opens int64) {
	f.Helper()
	before := f.far.opens.Load()
	got, err := f.read(n, 0, int64(len(content)))
	if err != nil || !bytes.Equal(got, content) {
		f.Fatalf("segment %d: %d bytes, %v, want %d others", n, len(got), err, len(content))
	}
	if now := f.far.opens.Load() - before; now != opens {
		f.Fatalf("segment %d: %d reads of the store, want %d", n, now, opens)
	}
}

func (f *fixture) file(n int) string { return filepath.Join(f.dir, "segments", string(id(n))) }

// onDisk is how many bytes are in the directory.
func (f *fixture) onDisk() (sum int64) {
	_ = filepath.Walk(filepath.Join(f.dir, "segments"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

func TestStore(t *testing.T) {
	datatest.Run(t, func(t *testing.T) data.Store { return newFixture(t, 1<<30).Store })
}

// The same for a cache that has no room, and for one without a directory.
func TestStoreWithoutCopies(t *testing.T) {
	datatest.Run(t, func(t *testing.T) data.Store { return newFixture(t, 1).Store })
	datatest.Run(t, func(t *testing.T) data.Store {
		f := &fixture{T: t, far: &far{Store: mem.New(mem.Config{})}, dir: filepath.Join(t.TempDir(), "file", "cache")}
		if err := os.WriteFile(filepath.Dir(f.dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.open(1 << 30)
		t.Cleanup(func() {
			if n := strings.Count(f.log.String(), "level=WARN"); n != 1 || f.Counts().Errors.Load() < 2 {
				t.Errorf("%d warnings of %d errors:\n%s", n, f.Counts().Errors.Load(), f.log.String())
			}
			f.close()
		})
		return f.Store
	})
}

func TestHitsAndRestart(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, 3*mib+5)
	f.want(1, content, 1)
	f.want(1, content, 0)
	f.close()
	f.open(64 * mib)
	f.want(1, content, 0)
	got, err := f.read(1, 1_000_000, 2_000_000)
	if err != nil || !bytes.Equal(got, content[1_000_000:3_000_000]) {
		t.Errorf("a range: %d bytes, %v", len(got), err)
	}
	if n := f.far.opens.Load(); n != 1 {
		t.Errorf("%d reads of the store, want 1", n)
	}
	info, err := os.Stat(f.file(1))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if used, _ := f.Bytes(); used != f.onDisk() {
		t.Errorf("%d bytes are counted, %d are there", used, f.onDisk())
	}
}

// Parts of what there is no copy of are read from the store, and copy nothing.
func TestPartsDoNotFill(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, 2*mib)
	for _, at := range [][2]int64{{0, 1}, {0, mib}, {mib, mib}, {5, 10}} {
		if got, err := f.read(1, at[0], at[1]); err != nil || !bytes.Equal(got, content[at[0]:at[0]+at[1]]) {
			t.Errorf("%v: %d bytes, %v", at, len(got), err)
		}
	}
	if n, asked := f.onDisk(), f.far.opens.Load(); n != 0 || asked != 4 {
		t.Errorf("%d bytes in the cache, %d reads", n, asked)
	}
	if got := f.far.bytes.Load(); got != 1+2*mib+10 {
		t.Errorf("%d bytes were read of the store", got)
	}
	f.want(1, content, 1)
}

// 64 clients that come at once read the store once, however slow it or they are.
func TestManyReadersAtOnce(t *testing.T) {
	for name, slow := range map[string]struct{ store, client time.Duration }{
		"a slow store": {store: time.Second}, "slow clients": {client: time.Second}, "both": {store: time.Second, client: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 64*mib)
				content := f.put(1, 3*mib+7)
				f.far.wait = func() { time.Sleep(slow.store) }
				var readers sync.WaitGroup
				for i := range 64 {
					readers.Go(func() {
						time.Sleep(time.Duration(i) * 100 * time.Millisecond)
						r, err := f.Open(t.Context(), id(1), 0, int64(len(content)))
						if err != nil {
							t.Error(err)
							return
						}
						var got bytes.Buffer
						buf := make([]byte, 100_000+i)
						for err == nil {
							var n int
							n, err = r.Read(buf)
							got.Write(buf[:n])
							time.Sleep(slow.client)
						}
						if err := errors.Join(r.Close()); err != nil || !bytes.Equal(got.Bytes(), content) {
							t.Errorf("%d bytes, %v", got.Len(), err)
						}
					})
				}
				readers.Wait()
				if n, read := f.far.opens.Load(), f.far.bytes.Load(); n != 1 || read != int64(len(content)) {
					t.Errorf("%d reads of the store, %d bytes; want 1", n, read)
				}
				c := f.Counts()
				if c.Misses.Load() != 1 || c.Shared.Load()+c.Hits.Load() != 63 {
					t.Errorf("%d misses, %d shared, %d hits", c.Misses.Load(), c.Shared.Load(), c.Hits.Load())
				}
			})
		})
	}
}

// The first reader leaves: others go on, and half a copy is finished; less is not.
func TestLeaving(t *testing.T) {
	for _, row := range []struct {
		name   string
		read   int64
		others bool
		whole  bool
	}{{"early, alone", mib, false, false}, {"early, with others", mib, true, true}, {"late", 6 * mib, false, true}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 64*mib)
				content := f.put(1, 8*mib)
				f.far.wait = func() { time.Sleep(time.Second) }
				ctx, leave := context.WithCancel(t.Context())
				r, err := f.Open(ctx, id(1), 0, 8*mib)
				if err != nil {
					t.Fatal(err)
				}
				var other sync.WaitGroup
				if row.others {
					other.Go(func() { f.want(1, content, 0) })
				}
				if _, err := io.CopyN(io.Discard, r, row.read); err != nil {
					t.Fatal(err)
				}
				leave()
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
					t.Errorf("a read after it: %v", err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				other.Wait()
				again := int64(1)
				if row.whole {
					again = 0
				} else if used, _ := f.Bytes(); used != 0 || f.onDisk() != 0 {
					t.Errorf("%d bytes stay, %d are counted", f.onDisk(), used)
				}
				f.want(1, content, again)
			})
		})
	}
}

// A store that fails while a copy is made fails those who read it, each with an attempt of its own, and leaves nothing.
func TestTheStoreFails(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, 2*mib)
	f.far.cut = mib
	// The second half is within what a new read gives, if the first had reached the reader when the store failed.
	whole := false
	for tries := 0; !whole && tries < 100; tries++ {
		got, err := f.read(1, 0, 2*mib)
		if whole = err == nil; !bytes.Equal(got, content[:len(got)]) || whole != (len(got) == 2*mib) || !whole && !errors.Is(err, errCut) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if !whole {
		t.Error("no reader goes on where the store has failed")
	}
	f.far.cut = mib / 2
	if got, err := f.read(1, 0, 2*mib); !errors.Is(err, errCut) || !bytes.Equal(got, content[:len(got)]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	f.far.cut = 0
	f.want(1, content, 1)
	if _, err := f.read(2, 0, -1); !errors.Is(err, data.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
}

// The bound holds, and what was used last stays.
func TestMaxBytes(t *testing.T) {
	f := newFixture(t, 5*mib)
	contents := map[int][]byte{}
	for n := range 8 {
		contents[n] = f.put(n, mib)
	}
	contents[9] = f.put(9, 3*mib)
	for n := range 8 {
		f.want(n, contents[n], 1)
		if n > 0 {
			f.want(0, contents[0], 0)
		}
		if used, most := f.Bytes(); used > most || f.onDisk() > most || used != f.onDisk() {
			t.Fatalf("%d bytes, %d are counted, of %d", f.onDisk(), used, most)
		}
	}
	f.want(7, contents[7], 0)
	f.want(1, contents[1], 1)
	f.want(9, contents[9], 1) // over half of it
	f.want(9, contents[9], 1)
	if n := f.Counts().Evicted.Load(); n == 0 {
		t.Error("nothing was evicted")
	}
	f.close()
	f.open(2*mib + 200)
	if used, most := f.Bytes(); used > most || f.onDisk() > most {
		t.Errorf("after a start with less: %d bytes, %d are counted, of %d", f.onDisk(), used, most)
	}
}

// What is being read is not evicted, also when it was deleted: its bytes count until it is closed.
func TestBytesOfOpenCopies(t *testing.T) {
	f := newFixture(t, 2*mib+1000)
	one, two, three := f.put(1, mib), f.put(2, mib), f.put(3, mib)
	f.want(1, one, 1)
	f.want(2, two, 1)
	var open []io.ReadCloser
	for n := 1; n <= 2; n++ {
		r, err := f.Open(t.Context(), id(n), 0, mib)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	f.want(3, three, 1)
	f.want(3, three, 1)
	if err := f.Delete(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	f.want(3, three, 1)
	if got, err := io.ReadAll(open[0]); err != nil || !bytes.Equal(got, one) {
		t.Errorf("a deleted one that was open: %d bytes, %v", len(got), err)
	}
	for _, r := range open {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	f.want(3, three, 1)
	f.want(3, three, 0)
	if _, err := f.read(1, 0, -1); !errors.Is(err, data.ErrNotFound) {
		t.Errorf("a deleted segment: %v", err)
	}
}

// A segment that is deleted while it is copied is in no cache afterwards.
func TestDeleteWhileFilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 64*mib)
		content := f.put(1, 4*mib)
		f.far.wait = func() { time.Sleep(time.Second) }
		r, err := f.Open(t.Context(), id(1), 0, 4*mib)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Delete(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := f.read(1, 0, 4*mib); !errors.Is(err, data.ErrNotFound) {
			t.Errorf("after the delete: %v", err)
		}
		if used, _ := f.Bytes(); used != 0 || f.onDisk() != 0 {
			t.Errorf("%d bytes, %d are counted", f.onDisk(), used)
		}
	})
}

// Around reads the store itself, and what it deletes is not in the cache.
func TestAround(t *testing.T) {
	f := newFixture(t, 64*mib)
	content := f.put(1, mib)
	f.want(1, content, 1)
	r, err := f.Around().Open(t.Context(), id(1), 0, mib)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := f.far.opens.Load(); n != 2 {
		t.Errorf("%d reads of the store", n)
	}
	if err := f.Around().Delete(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	if n := f.onDisk(); n != 0 {
		t.Errorf("%d bytes after the delete", n)
	}
}
