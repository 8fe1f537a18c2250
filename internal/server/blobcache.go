package server

import (
	"context"
	"fmt"
	"log/slog"

	"holdfast/internal/cluster"
	"holdfast/internal/data"
	"holdfast/internal/data/cached"
)

// as is what a process of a role opens of a store. A command pulls nothing, and the cache's directory is the replica's that runs beside it.
func (s Storage) as(role cluster.Role) Storage {
	if role != cluster.Replica {
		s.BlobCache = BlobCache{}
	}
	return s
}

// openCache opens the store's cache, where the configuration has one; pulls is how clients read the segments without it. It returns the segments for all but
// pulls: who collects and checks sees the store itself, and what is deleted leaves the cache. Errors: ErrRefused, for a directory that is another's.
func (s *store) openCache(ctx context.Context, segments, pulls data.Store, log *slog.Logger) (data.Store, error) {
	s.forPulls = pulls
	if s.cfg.BlobCache.Dir == "" {
		return segments, nil
	}
	cache, err := cached.New(ctx, segments, cached.Config{Dir: s.cfg.BlobCache.Dir, MaxBytes: s.cfg.BlobCache.MaxBytes, Pulls: pulls}, log)
	if err != nil {
		return nil, fmt.Errorf("%w: storage.cache: %w", ErrRefused, err)
	}
	s.cache, s.forPulls = cache, cache
	s.closers = append(s.closers, cache.Close)
	return cache.Around(), nil
}
