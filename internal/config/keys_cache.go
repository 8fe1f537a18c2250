package config

import (
	"math"
	"path/filepath"
	"strings"
)

// Cache is a directory for copies of what is pulled from a bucket. The zero value is none.
type Cache struct {
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
		{path: "cache.dir", kind: parsePath, into: func(t *target) any { return &t.store.Cache.Dir }},
		{path: "cache.maxBytes", kind: size(minCacheBytes, math.MaxInt64, true), into: func(t *target) any { return &t.store.Cache.MaxBytes }},
	}
}

// cache checks what one of its keys cannot know of the other, and of the store. Its directory is nobody else's.
func (w *walker) cache(s *Store, path string, roots *[]root) {
	at := path + ".cache"
	if w.failed(at+".dir") || w.failed(at+".maxBytes") {
		return
	}
	switch c := s.Cache; {
	case c == Cache{}:
		return
	case c.Dir == "":
		w.wrongAt(at+".dir", "is missing", "", "a directory for the cache alone, as /var/cache/holdfast")
		return
	case c.MaxBytes == 0:
		w.wrongAt(at+".maxBytes", "is missing", "", `what the cache may take of the disk, as "100GiB"`)
		return
	case s.Driver != DriverS3:
		w.warn(at, "has no effect: a local store is as near as a cache")
		s.Cache = Cache{}
		return
	}
	dir, err := filepath.Abs(s.Cache.Dir)
	if err != nil { // the working directory is gone: what is relative stays so
		dir = filepath.Clean(s.Cache.Dir)
	}
	w.separate(root{at + ".dir", string(DriverLocal), strings.Trim(filepath.ToSlash(dir), "/")}, roots)
}
