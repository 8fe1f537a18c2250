package cached

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/data"
)

const (
	lockName    = "lock"
	segmentsDir = "segments"
	partSuffix  = ".part"
)

var (
	// ErrInUse says that another process, or another store of this one, uses the directory.
	ErrInUse = errors.New("the directory is in use as a cache by another process, or for another store: each needs its own")
	// ErrStorage says that the directory holds a registry.
	ErrStorage = errors.New("the directory holds a registry's storage: a cache needs a directory of its own")
)

// dir is the directory. It may be wiped at any time: it is made anew then, and locked.
type dir struct {
	path  string
	mu    sync.Mutex
	lock  *os.File // nil: it is not ours
	parts atomic.Int64
}

// prepare makes the directory and locks it, as far as that is not so. Errors: ErrInUse, ErrStorage; those of the file system.
func (d *dir) prepare() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, theirs := range []string{"records.db", "holdfast"} {
		if _, err := os.Lstat(filepath.Join(d.path, theirs)); err == nil {
			return fmt.Errorf("%w (%s is in it)", ErrStorage, theirs)
		}
	}
	if err := os.MkdirAll(filepath.Join(d.path, segmentsDir), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if d.holds(f) {
		return f.Close()
	}
	if err := lockFile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = nil
	if d.lock != nil {
		err = d.lock.Close() // of a directory that was wiped
	}
	d.lock = f
	return err
}

// holds reports whether f is the file that is locked.
func (d *dir) holds(f *os.File) bool {
	if d.lock == nil {
		return false
	}
	ours, err := d.lock.Stat()
	if err != nil {
		return false
	}
	theirs, err := f.Stat()
	return err == nil && os.SameFile(ours, theirs)
}

// close lets the directory go.
func (d *dir) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

func (d *dir) file(id data.ID) string { return filepath.Join(d.path, segmentsDir, string(id)) }

// create begins a copy.
func (d *dir) create(id data.ID) (*os.File, error) {
	path := d.file(id) + "." + strconv.FormatInt(d.parts.Add(1), 10) + partSuffix
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	d.mu.Lock()
	ours := d.lock != nil
	d.mu.Unlock()
	if ours {
		f, err := os.OpenFile(path, flags, 0o600)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	return os.OpenFile(path, flags, 0o600)
}

// remove removes the copy of a segment, which need not be there.
func (d *dir) remove(id data.ID) error {
	err := os.Remove(d.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// found is a file that may be a copy.
type found struct {
	id       data.ID
	bytes    int64
	modified time.Time
}

// scan returns what is there, the oldest first, and removes files that are no copies: those of a process that died while it made one, above all.
func (d *dir) scan() ([]found, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, segmentsDir))
	if err != nil {
		return nil, err
	}
	var all []found
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if id := data.ID(e.Name()); valid(id) {
			all = append(all, found{id, info.Size(), info.ModTime()})
		} else if strings.HasSuffix(e.Name(), partSuffix) {
			_ = os.Remove(filepath.Join(d.path, segmentsDir, e.Name())) // the next start tries again
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.modified.Compare(b.modified) })
	return all, nil
}
