package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/cluster"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	recordmem "holdfast/internal/record/mem"
)

// TestBlobCache: a pull fills the cache and the next is served from it; what checks the store does not see it, what is deleted leaves it, and the metrics
// tell. A directory that is in use is refused.
func TestBlobCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	cfg := Storage{BlobCache: BlobCache{Dir: dir, MaxBytes: 1 << 20}}
	under := &store{cfg: cfg}
	segments, err := under.openCache(t.Context(), datamem.New(datamem.Config{}), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = under.cache.Close() })
	h := newHouseWith(t, recordmem.New(recordmem.Config{}), segments, cfg, under)
	d := h.blob("a", "a layer")
	handler := h.s.handler(nil)
	get := func(path string) string {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil || w.Code != http.StatusOK {
			t.Fatalf("GET %s: %d, %v", path, w.Code, err)
		}
		return string(body)
	}
	for range 3 {
		if got := get("/v2/a/blobs/" + string(d)); got != "a layer" {
			t.Errorf("%q", got)
		}
	}
	metrics := get("/metrics")
	for _, want := range []string{
		`holdfast_blob_cache_reads_total{result="miss",store="/"} 1`, `holdfast_blob_cache_reads_total{result="hit",store="/"} 2`,
		`holdfast_blob_cache_limit_bytes{store="/"} 1.048576e+06`, `holdfast_blob_cache_errors_total{store="/"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "segments"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := h.s.stores[0].segments.Delete(t.Context(), data.ID(files[0].Name())); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "segments")); err != nil || len(files) != 0 {
		t.Errorf("after a delete: %v, %v", files, err)
	}
	if _, err := (&store{cfg: cfg}).openCache(t.Context(), segments, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrRefused) {
		t.Errorf("a second cache: %v", err)
	}
}

// TestBlobCacheOfCommands: a command leaves the directory to the replica beside it.
func TestBlobCacheOfCommands(t *testing.T) {
	cfg := Storage{BlobCache: BlobCache{Dir: t.TempDir(), MaxBytes: 1 << 20}}
	segments := datamem.New(datamem.Config{})
	for _, role := range []cluster.Role{cluster.Replica, cluster.Command} {
		under := &store{cfg: cfg.as(role)}
		if _, err := under.openCache(t.Context(), segments, nil, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		for _, end := range under.closers {
			t.Cleanup(func() { _ = end() })
		}
		if (under.cache != nil) != (role == cluster.Replica) {
			t.Errorf("%s: cache %v", role, under.cache)
		}
	}
}
