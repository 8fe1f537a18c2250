package config

import (
	"math"
	"path/filepath"
	"strings"
)

// BlobCache is a directory for copies of what is pulled from a bucket. The zero value is none.
type BlobCache struct {
	// Dir is a directory of this machine, for this alone.
	Dir string
	// MaxBytes bounds the files in it. It is set exactly when Dir is.
	MaxBytes int64
}

// minCacheBytes is a layer or two.
const minCacheBytes = 64 << 20

// cacheOfBlobsKeys are the keys of storage, and of each of storage.subPaths, that say where blobs are kept beside the bucket.
func cacheOfBlobsKeys() []key {
	return []key{
		{path: "cache.dir", kind: parsePath, into: func(t *target) any { return &t.store.BlobCache.Dir }},
		{path: "cache.maxBytes", kind: size(minCacheBytes, math.MaxInt64, true), into: func(t *target) any { return &t.store.BlobCache.MaxBytes }},
	}
}

// blobCache checks what one of its keys cannot know of the other, and of the store. Its directory is nobody else's.
func (w *walker) blobCache(s *Store, path string, roots *[]root) {
	at := path + ".cache"
	if w.failed(at+".dir") || w.failed(at+".maxBytes") {
		return
	}
	switch c := s.BlobCache; {
	case c == BlobCache{}:
		return
	case c.Dir == "":
		w.wrongAt(at+".dir", "is missing", "", "a directory for the cache alone, as /var/cache/holdfast")
		return
	case c.MaxBytes == 0:
		w.wrongAt(at+".maxBytes", "is missing", "", `what the cache may take of the disk, as "100GiB"`)
		return
	case s.Driver != DriverS3:
		w.warn(at, "has no effect: a local store is as near as a cache")
		s.BlobCache = BlobCache{}
		return
	}
	dir, err := filepath.Abs(s.BlobCache.Dir)
	if err != nil { // the working directory is gone: what is relative stays so
		dir = filepath.Clean(s.BlobCache.Dir)
	}
	w.separate(root{at + ".dir", string(DriverLocal), strings.Trim(filepath.ToSlash(dir), "/")}, roots)
}
