package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"holdfast/internal/data"
)

const (
	tmpDir = "tmp"
	// leftoverAge is how old a file in tmpDir must be, since its last write, to be a dead process's.
	leftoverAge = 24 * time.Hour
	hexDigits   = "0123456789abcdef"
)

// Config says where the store is. Dir must be set.
type Config struct {
	// Dir is the directory of the segments. It is created when missing, with mode 0700.
	Dir string
	// Sync makes Commit wait until the segment is on disk, bytes and name. Without it a power cut, not the
	// death of the process, may leave an acknowledged segment short, empty or missing.
	Sync bool
}

// Store is a data.Store in a directory. Safe for concurrent use, also by several processes.
type Store struct {
	root *os.Root // what leads out of the directory, as a link planted there, is refused
	sync bool
}

var _ data.Store = (*Store)(nil)

// Open opens the store of a directory, creates what is missing, and removes what dead processes left
// more than a day ago. The caller closes it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("file: open: no directory is set")
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("file: open %s: %w", cfg.Dir, wrap(err))
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("file: open %s: %w", cfg.Dir, wrap(err))
	}
	s := &Store{root: root, sync: cfg.Sync}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("file: open %s: %w", cfg.Dir, errors.Join(wrap(err), root.Close()))
	}
	return s, nil
}

// Close releases the directory. Writers and calls after it fail, readers that are open go on. It is safe
// to call twice.
func (s *Store) Close() error {
	if err := s.root.Close(); err != nil {
		return fmt.Errorf("file: close: %w", err)
	}
	return nil
}

// prepare creates the directories, all at once so that a commit never has to, and clears tmpDir.
func (s *Store) prepare(ctx context.Context) error {
	for _, dir := range append(shards(), tmpDir) {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := s.syncDir("."); err != nil {
		return err
	}
	_, err := s.Sweep(ctx, time.Now().Add(-leftoverAge))
	return err
}

// Stat implements data.Store.
func (s *Store) Stat(ctx context.Context, id data.ID) (int64, error) {
	info, err := s.stat(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("file: stat %s: %w", id, err)
	}
	return info.Size(), nil
}

func (s *Store) stat(ctx context.Context, id data.ID) (fs.FileInfo, error) {
	if err := check(ctx, id); err != nil {
		return nil, err
	}
	info, err := s.root.Lstat(name(id))
	if err != nil {
		return nil, wrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", data.ErrUnavailable, name(id))
	}
	return info, nil
}

// Delete implements data.Store. Readers that are open go on. With Config.Sync, a deleted segment does
// not come back after a power cut.
func (s *Store) Delete(ctx context.Context, id data.ID) error {
	if err := check(ctx, id); err != nil {
		return fmt.Errorf("file: delete %s: %w", id, err)
	}
	err := s.root.Remove(name(id))
	if err == nil && s.sync {
		err = s.syncDir(path.Dir(name(id)))
	}
	if err = wrap(err); err != nil && !errors.Is(err, data.ErrNotFound) {
		return fmt.Errorf("file: delete %s: %w", id, err)
	}
	return nil
}

// PresignedURL implements data.Store: there is none.
func (s *Store) PresignedURL(_ context.Context, id data.ID, _ time.Duration) (string, error) {
	return "", fmt.Errorf("file: URL of %s: %w", id, data.ErrNoURL)
}

// check returns an error when ctx has ended or id is none.
func check(ctx context.Context, id data.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !valid(id) {
		return fmt.Errorf("invalid id %q: want 32 lower-case hex digits", id)
	}
	return nil
}

func valid(id data.ID) bool {
	return len(id) == 32 && strings.Trim(string(id), hexDigits) == ""
}

// name returns where the segment of a valid id is.
func name(id data.ID) string { return path.Join(string(id[:2]), string(id)) }

// shards returns the directories of segments in their order.
func shards() []string {
	var dirs []string
	for _, a := range hexDigits {
		for _, b := range hexDigits {
			dirs = append(dirs, string(a)+string(b))
		}
	}
	return dirs
}

// wrap makes an error of the file system one of the contract: ErrNotFound where a name is not there,
// else ErrUnavailable. Those of a context, and nil, it returns as they are.
func wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return data.ErrNotFound
	default:
		return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
	}
}

// readDir returns the names in a directory, in byte order.
func (s *Store) readDir(dir string) ([]string, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// syncDir makes the names in a directory durable.
func (s *Store) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeDir creates a directory, and those above it, so that a power cut does not take them back.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
