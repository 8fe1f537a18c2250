package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"holdfast/internal/data"
)

var (
	errEnded = errors.New("the writer has ended")
	errSpent = errors.New("the id was used before")
)

// writer is the data.Writer of one segment.
type writer struct {
	ctx   context.Context // rules the writer, as the contract says
	store *Store
	id    data.ID
	tmp   string   // within the store's root
	file  *os.File // nil once the writer has ended
	size  int64
	err   error // of a write: the segment lacks bytes, and is never committed
}

// Create implements data.Store.
func (s *Store) Create(ctx context.Context, id data.ID) (data.Writer, error) {
	if err := check(ctx, id); err != nil {
		return nil, fmt.Errorf("file: create %s: %w", id, err)
	}
	tmp := path.Join(tmpDir, string(id)+"."+rand.Text())
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	// Dies here, or anywhere before the rename: the file in tmp stays, is seen by nothing but Open and Sweep,
	// which remove it when a day, or what Sweep is told, has passed since its last write.
	if err != nil {
		// A directory that is not there is the operator's fault, no answer about a segment.
		return nil, fmt.Errorf("file: create %s: %w: %w", id, data.ErrUnavailable, err)
	}
	return &writer{ctx: ctx, store: s, id: id, tmp: tmp, file: f}, nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	switch {
	case w.err != nil:
	case w.file == nil:
		w.err = errEnded
	default:
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		return 0, fmt.Errorf("file: write %s: %w", w.id, w.err)
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	if err != nil {
		// A full disk too: the writer is of no more use, and its bytes go at once.
		w.err = fmt.Errorf("%w: %w", data.ErrUnavailable, err)
		w.drop()
		return n, fmt.Errorf("file: write %s: %w", w.id, w.err)
	}
	return n, nil
}

// Commit implements data.Writer.
func (w *writer) Commit(ctx context.Context) (int64, error) {
	err := w.err
	if err == nil {
		err = errors.Join(ctx.Err(), w.ctx.Err())
	}
	if err == nil && w.file == nil {
		err = errEnded
	}
	if err == nil {
		err = w.commit()
	}
	w.drop()
	if err != nil {
		return 0, fmt.Errorf("file: commit %s: %w", w.id, err)
	}
	return w.size, nil
}

// commit makes the file in tmp the segment. Each comment says what a crash leaves that comes right after
// the line above it: of the process, whose writes the kernel keeps, or of the machine.
func (w *writer) commit() error {
	final := name(w.id)
	if _, err := w.store.root.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = errSpent // a segment never changes, also when a caller errs
		}
		return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
	}
	if w.store.sync {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
		}
		// The file in tmp, whole; nobody knows of it. Open removes it when it is a day old.
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", data.ErrUnavailable, err), w.store.root.Remove(w.tmp))
	}
	// As above.
	if err := w.store.root.Rename(w.tmp, final); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", data.ErrUnavailable, err), w.store.root.Remove(w.tmp))
	}
	// The process: the segment, visible and whole, but not acknowledged, so that no record names it. The
	// collector removes it as a segment that nothing names. The machine: that, or the file in tmp, since
	// the directories are not on disk yet; it never has both names. Without Sync its bytes may be missing.
	if w.store.sync {
		if err := w.store.syncDir(path.Dir(final)); err != nil {
			return errors.Join(fmt.Errorf("%w: %w", data.ErrUnavailable, err), w.store.root.Remove(final))
		}
		// The segment, on disk under its name, as if the acknowledgement had been lost: the collector's.
	}
	return nil
}

// Abort implements data.Writer. Dies before: the file in tmp stays until an Open or a Sweep finds it old.
func (w *writer) Abort() { w.drop() }

// drop removes the file in tmp, unless the writer has ended. A removal that fails leaves it to Open.
func (w *writer) drop() {
	if w.file == nil {
		return
	}
	_ = w.file.Close()
	_ = w.store.root.Remove(w.tmp)
	w.file = nil
}
