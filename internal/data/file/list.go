package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"

	"holdfast/internal/data"
)

// List implements data.Store. It reads one of the 256 directories at a time, before the body of the loop
// sees its first segment; files that are no segments it passes over.
func (s *Store) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return func(yield func(data.Entry, error) bool) {
		for _, shard := range shards() {
			if shard < string(after[:min(2, len(after))]) {
				continue
			}
			names, err := s.readDir(shard)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				yield(data.Entry{}, fmt.Errorf("file: list: %w", wrap(err)))
				return
			}
			slices.Sort(names)
			for _, n := range names {
				id := data.ID(n)
				if id <= after || !valid(id) || path.Dir(name(id)) != shard {
					continue
				}
				info, err := s.stat(ctx, id)
				if errors.Is(err, data.ErrNotFound) {
					continue // deleted since the directory was read
				}
				if err != nil {
					yield(data.Entry{}, fmt.Errorf("file: list: %w", err))
					return
				}
				if !yield(data.Entry{ID: id, Size: info.Size(), Modified: info.ModTime()}, nil) {
					return
				}
			}
		}
	}
}
