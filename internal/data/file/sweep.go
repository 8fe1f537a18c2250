package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"holdfast/internal/data"
)

// Sweep implements data.Store: it removes the files in tmpDir that were last written before the given time. Open
// does it too, for those of more than a day ago.
func (s *Store) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("file: sweep: %w", err)
	}
	names, err := s.readDir(tmpDir)
	if err != nil {
		// A directory that is not there is the operator's fault, no answer about a segment.
		return 0, fmt.Errorf("file: sweep: %w: %w", data.ErrUnavailable, err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return removed, fmt.Errorf("file: sweep: %w", err)
		}
		name = path.Join(tmpDir, name)
		info, err := s.root.Lstat(name)
		old := err == nil && info.Mode().IsRegular() && info.ModTime().Before(before)
		if old {
			err = s.root.Remove(name)
		}
		switch {
		case err == nil && old:
			removed++
		case err != nil && !errors.Is(err, fs.ErrNotExist): // gone: its writer lives, or another process removed it
			return removed, fmt.Errorf("file: sweep: %w", wrap(err))
		}
	}
	return removed, nil
}
