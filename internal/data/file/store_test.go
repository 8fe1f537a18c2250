package file_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/data"
	"holdfast/internal/data/datatest"
	"holdfast/internal/data/file"
)

const id = data.ID("0123456789abcdef0123456789abcdef")

func TestStore(t *testing.T) {
	datatest.Run(t, func(t *testing.T) data.Store { return open(t, newDir(t)) })
}

// newDir returns a directory that is not there yet.
func newDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

// open opens the store of dir, with Sync, and closes it when the test ends.
func open(t *testing.T, dir string) *file.Store {
	t.Helper()
	store, err := file.Open(t.Context(), file.Config{Dir: dir, Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// put commits a segment.
func put(t *testing.T, store data.Store, id data.ID, content []byte) {
	t.Helper()
	w, err := store.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// files returns every file below dir with its mode, as "path mode".
func files(t *testing.T, dir string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			if info.Mode().Perm() != 0o700 {
				t.Errorf("directory %s has mode %s", path, info.Mode())
			}
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		found = append(found, rel+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLayout(t *testing.T) {
	for _, sync := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "a", "b") // both are created
		store, err := file.Open(t.Context(), file.Config{Dir: dir, Sync: sync})
		if err != nil {
			t.Fatal(err)
		}
		put(t, store, id, []byte("content"))
		if diff := cmp.Diff([]string{"01/" + string(id) + " -rw-------"}, files(t, dir)); diff != "" {
			t.Errorf("files after a commit (-want +got):\n%s", diff)
		}
		if err := store.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{}, files(t, dir)); diff != "" {
			t.Errorf("files after a delete (-want +got):\n%s", diff)
		}
		for range 2 {
			if err := store.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := store.Stat(t.Context(), id); !errors.Is(err, data.ErrUnavailable) {
			t.Errorf("stat after Close: %v", err)
		}
	}
}

func TestNothingOfAnAbortedWriterStays(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := store.Create(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "tmp/"+string(id)+".") || !strings.HasSuffix(got[0], " -rw-------") {
		t.Errorf("files while it is written: %v", got)
	}
	cancel()
	w.Abort()
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("files after Abort: %v", got)
	}
}

func TestLeftoversAreRemovedAfterADay(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("content"))
	old := time.Now().Add(-25 * time.Hour)
	for name, mtime := range map[string]time.Time{"tmp/dead": old, "tmp/young": time.Now().Add(-23 * time.Hour), "01/" + string(id): old} {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, "tmp/") {
			if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	if diff := cmp.Diff([]string{"01/" + string(id) + " -rw-------", "tmp/young -rw-------"}, files(t, dir)); diff != "" {
		t.Errorf("files after a second Open (-want +got):\n%s", diff)
	}
}

func TestSweep(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("content"))
	now := time.Now()
	for name, age := range map[string]time.Duration{"tmp/dead": 3 * time.Hour, "tmp/dead2": 2*time.Hour + time.Second, "tmp/young": 2*time.Hour - time.Second, "01/" + string(id): 3 * time.Hour} {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, "tmp/") {
			if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{2, 0} {
		if n, err := store.Sweep(t.Context(), now.Add(-2*time.Hour)); n != want || err != nil {
			t.Errorf("sweep %d: %d, %v, want %d", i, n, err, want)
		}
	}
	if diff := cmp.Diff([]string{"01/" + string(id) + " -rw-------", "tmp/young -rw-------"}, files(t, dir)); diff != "" {
		t.Errorf("files after it (-want +got):\n%s", diff)
	}
	if err := os.RemoveAll(filepath.Join(dir, "tmp")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Sweep(t.Context(), now); !errors.Is(err, data.ErrUnavailable) {
		t.Errorf("sweep without the directory: %v, want ErrUnavailable", err)
	}
}

func TestASegmentIsNeverReplaced(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("first"))
	w, err := store.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); err == nil {
		t.Error("commit of an id that was used: no error")
	}
	if got, err := os.ReadFile(filepath.Join(dir, "01", string(id))); err != nil || string(got) != "first" {
		t.Errorf("the segment holds %q, %v", got, err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files: %v", got)
	}
}

func TestIDsAreChecked(t *testing.T) {
	store := open(t, newDir(t))
	for _, id := range []data.ID{"", id + "0", id[1:], data.ID(strings.ToUpper(string(id))), "../../../../../../../etc/passwdx", "01/" + id[3:]} {
		_, err := store.Create(t.Context(), id)
		_, openErr := store.Open(t.Context(), id, 0, -1)
		_, statErr := store.Stat(t.Context(), id)
		if err == nil || openErr == nil || statErr == nil || store.Delete(t.Context(), id) == nil {
			t.Errorf("%q is taken for an id", id)
		}
		if errors.Is(openErr, data.ErrNotFound) {
			t.Errorf("open %q: %v: no answer about a segment", id, openErr)
		}
	}
}

func TestWhatIsNoSegmentIsNotListed(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("content"))
	for _, name := range []string{"01/README", "02/" + string(id), "file", "01/" + strings.Repeat("0", 31) + "g"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []data.ID
	for entry, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry.ID)
	}
	if diff := cmp.Diff([]data.ID{id}, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestLinksThatLeadOutAreRefused(t *testing.T) {
	dir, outside := newDir(t), filepath.Join(t.TempDir(), "secret")
	store := open(t, dir)
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "01", string(id))); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Open(t.Context(), id, 0, -1); err == nil {
		content, _ := io.ReadAll(r)
		t.Errorf("open reads %q", content)
	}
	if _, err := store.Stat(t.Context(), id); !errors.Is(err, data.ErrUnavailable) {
		t.Errorf("stat: %v", err)
	}
}

// Cut short while it is read: by Read and by WriteTo the caller hears of it.
func TestFileThatIsCutShort(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, bytes.Repeat([]byte("x"), 100_000))
	for name, read := range map[string]func(io.Reader) (int64, error){
		"Read":    func(r io.Reader) (int64, error) { return io.Copy(io.Discard, struct{ io.Reader }{r}) },
		"WriteTo": func(r io.Reader) (int64, error) { return io.Copy(new(bytes.Buffer), r) },
	} {
		path := filepath.Join(dir, "01", string(id))
		if err := os.Truncate(path, 100_000); err != nil {
			t.Fatal(err)
		}
		r, err := store.Open(t.Context(), id, 0, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 60_000); err != nil {
			t.Fatal(err)
		}
		if n, err := read(r); n != 60_000 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d bytes, %v, want 60000 and %v", name, n, err, io.ErrUnexpectedEOF)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// readFrom records what a response's ReadFrom would see.
type readFrom struct {
	bytes.Buffer
	sources []io.Reader
}

func (w *readFrom) ReadFrom(src io.Reader) (int64, error) {
	w.sources = append(w.sources, src)
	return w.Buffer.ReadFrom(src)
}

// Only an *os.File, or an *io.LimitedReader of one, leaves by sendfile.
func TestWriteToHandsOverTheFile(t *testing.T) {
	store := open(t, newDir(t))
	content := bytes.Repeat([]byte("0123456789"), 850_000) // a little more than 8 MiB
	put(t, store, id, content)
	r, err := store.Open(t.Context(), id, 5, int64(len(content)-10))
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	var dst readFrom
	dst.Grow(len(content) + 10_000)
	if _, err := io.Copy(&dst, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(head, content[5:1005]) || !bytes.Equal(dst.Bytes(), content[1005:len(content)-5]) {
		t.Error("other bytes than written")
	}
	if len(dst.sources) != 2 {
		t.Errorf("%d bytes came in %d chunks, want 2", len(content), len(dst.sources))
	}
	for _, src := range dst.sources {
		limited, ok := src.(*io.LimitedReader)
		if !ok {
			t.Fatalf("ReadFrom got a %T", src)
		}
		if _, ok := limited.R.(*os.File); !ok {
			t.Errorf("ReadFrom got a limited %T", limited.R)
		}
	}
}

func TestWriteToMindsTheContext(t *testing.T) {
	store := open(t, newDir(t))
	put(t, store, id, []byte("content"))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := store.Open(ctx, id, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // read only
	cancel()
	if n, err := io.Copy(new(bytes.Buffer), r); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("copy: %d, %v", n, err)
	}
}

func TestOverHTTP(t *testing.T) {
	store := open(t, newDir(t))
	content := bytes.Repeat([]byte("0123456789"), 400_000)
	put(t, store, id, content)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r, err := store.Open(req.Context(), id, 1, int64(len(content)-1))
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close() //nolint:errcheck // read only
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", "3999999")
		if _, err := io.Copy(w, r); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || !bytes.Equal(got, content[1:]) {
		t.Errorf("%d bytes, %v, want the %d written", len(got), err, len(content)-1)
	}
}

func TestFingerprint(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("content"))
	path := filepath.Join(dir, "01", string(id))
	for _, change := range []struct {
		name string
		do   func() error
		same bool
	}{
		{"nothing", func() error { return nil }, true},
		{"a read", func() error { _, err := os.ReadFile(path); return err }, true},
		{"other bytes of the same length", func() error { return os.WriteFile(path, []byte("CONTENT"), 0o600) }, false},
		{"another file of the same name", func() error {
			return errors.Join(os.WriteFile(path+"~", []byte("cONTENT"), 0o600), os.Rename(path+"~", path))
		}, false},
		{"its mtime set back", func() error { return os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)) }, false},
		{"shorter", func() error { return os.Truncate(path, 3) }, false},
	} {
		before := settled(t, store)
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		if now := fingerprint(t, store); now == before && !change.same {
			t.Errorf("%s: fingerprint %q at once", change.name, now)
		}
		if after := settled(t, store); after == "" || (after == before) != change.same {
			t.Errorf("%s: fingerprint %q, then %q", change.name, before, after)
		}
	}
}

// settled is the fingerprint of the file once it is as old as the kernel's times can tell.
func settled(t *testing.T, store data.Store) (now string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); now == "" && time.Now().Before(end); {
		now = fingerprint(t, store)
	}
	return now
}

func fingerprint(t *testing.T, store data.Store) string {
	t.Helper()
	r, err := store.Open(t.Context(), id, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // read only
	return r.(*file.Reader).Fingerprint()
}
