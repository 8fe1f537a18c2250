package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/data"
)

var errEnded = errors.New("the writer has ended")

// writer is the data.Writer of one segment.
type writer struct {
	ctx     context.Context // rules the writer, as the contract says
	store   *Store
	id      data.ID
	content bytes.Buffer
	ended   bool
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	err := w.ctx.Err()
	if w.ended {
		err = errEnded
	}
	if err != nil {
		return 0, fmt.Errorf("mem: write %s: %w", w.id, err)
	}
	if room := w.store.maxBytes - int64(w.content.Len()); w.store.maxBytes > 0 && int64(len(p)) > room {
		n, _ := w.content.Write(p[:room]) // a buffer's Write returns no error
		return n, fmt.Errorf("mem: write %s: %w", w.id, data.ErrFull)
	}
	return w.content.Write(p)
}

// Commit implements data.Writer.
func (w *writer) Commit(ctx context.Context) (int64, error) {
	err := errors.Join(ctx.Err(), w.ctx.Err())
	if w.ended {
		err = errEnded
	}
	w.ended = true
	if err != nil {
		return 0, fmt.Errorf("mem: commit %s: %w", w.id, err)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.segments[w.id] = segment{content: w.content.Bytes(), modified: w.store.clock().Round(0)}
	return int64(w.content.Len()), nil
}

// Abort implements data.Writer.
func (w *writer) Abort() {
	w.ended = true
	w.content = bytes.Buffer{} // what was committed is the segment's
}

// reader reads a range.
type reader struct {
	ctx  context.Context // rules the reader, as the contract says
	id   data.ID
	rest []byte
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("mem: read %s: %w", r.id, err)
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.rest = nil
	return nil
}
