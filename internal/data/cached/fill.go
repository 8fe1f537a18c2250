package cached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"holdfast/internal/data"
)

var chunkBuffers = sync.Pool{New: func() any { b := make([]byte, chunkBytes); return &b }}

// sized is a reader of a store that knows how long the segment is. Of others the store is asked.
type sized interface{ Size() int64 }

// begin begins the copy of a segment for a reader of its first length bytes; -1: of all. It is no reader's: it outlives the first of several. mu is held.
func (s *Store) begin(ctx context.Context, id data.ID, length int64) *copied {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &copied{id: id, opened: make(chan struct{}), cancel: cancel}
	s.copies[id] = c
	s.fills++
	s.filling.Go(func() {
		s.fill(ctx, c, length)
		s.mu.Lock()
		s.fills--
		s.mu.Unlock()
	})
	return c
}

// fill makes a copy. It dies: the file stays with its last name, and the next start removes it; after the rename it is as good as any.
func (s *Store) fill(ctx context.Context, c *copied, length int64) {
	body, err := s.pulls.Open(ctx, c.id, 0, length)
	if err != nil {
		s.decline(c, nil, err)
		return
	}
	size, err := s.sizeOf(ctx, c.id, body)
	if err != nil || length != -1 && length != size || !s.reserve(ctx, c, size) {
		s.decline(c, body, nil)
		return
	}
	f, err := s.dir.create(c.id)
	if err != nil {
		s.failed(ctx, "create", err)
		s.decline(c, body, nil)
		return
	}
	c.change(func() { c.state, c.size, c.path = filling, size, f.Name() })
	close(c.opened)
	err = s.copyAll(ctx, c, body, f)
	_ = body.Close() // read to its end, or given up
	c.cancel()
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.publish(c, f.Name())
	}
	var disk *diskError
	if errors.As(err, &disk) {
		s.failed(ctx, "write", disk.err)
	}
	if err != nil {
		s.undo(c, f.Name())
	}
}

// sizeOf returns how long a segment is.
func (s *Store) sizeOf(ctx context.Context, id data.ID, body io.Reader) (int64, error) {
	if known, ok := body.(sized); ok {
		return known.Size(), nil
	}
	return s.next.Stat(ctx, id)
}

// reserve makes room for the copy of a segment of size bytes, if it is to have one.
func (s *Store) reserve(ctx context.Context, c *copied, size int64) bool {
	need := fileBytes(size)
	if size == 0 || need > s.max/2 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.dropped || s.closed {
		return false
	}
	if err := s.makeRoom(need); err != nil {
		if !errors.Is(err, errNoRoom) {
			s.failed(ctx, "remove", err)
		}
		return false
	}
	c.bytes = need
	s.used += need
	return true
}

// decline ends a copy before it began: the first reader gets what was opened, the others open themselves.
func (s *Store) decline(c *copied, body io.ReadCloser, err error) {
	s.mu.Lock()
	_ = s.drop(c) // there is no file
	c.removed = true
	s.free(c)
	c.handed, c.handedErr = body, err
	if c.left {
		c.giveUp()
	}
	s.mu.Unlock()
	c.change(func() { c.state = gone })
	close(c.opened)
}

// leave says that the first reader does not wait for what is handed to it.
func (s *Store) leave(c *copied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.left = true
	c.giveUp()
}

// giveUp closes what nobody will read. Store.mu is held.
func (c *copied) giveUp() {
	if c.handed != nil {
		_ = c.handed.Close()
		c.handed = nil
		c.cancel()
	}
}

// diskError is an error of the directory.
type diskError struct{ err error }

// Error implements error.
func (e *diskError) Error() string { return e.err.Error() }

// copyAll writes the file, and shows each chunk once it is in it. Errors: the store's; *diskError.
func (s *Store) copyAll(ctx context.Context, c *copied, body io.Reader, f *os.File) error {
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	for done := int64(0); done < c.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := (*buf)[:min(chunkBytes, c.size-done)]
		if _, err := io.ReadFull(body, chunk); err != nil {
			return err
		}
		if _, err := f.Write(chunk); err != nil {
			return &diskError{err}
		}
		sum := checksum(chunk)
		c.change(func() { c.sums = append(c.sums, sum) })
		done += int64(len(chunk))
	}
	end, err := appendSums(c.id, c.size, c.sums)
	if err != nil {
		return err
	}
	if _, err := f.Write(end); err != nil {
		return &diskError{err}
	}
	return nil
}

var errDropped = errors.New("the segment was deleted")

// publish gives a file its name, from which on it is found, also by a later process. Errors: *diskError; errDropped when it is not wanted any more.
func (s *Store) publish(c *copied, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.dropped {
		return errDropped
	}
	var err error
	c.change(func() { // at once for who opens it
		if err = os.Rename(path, s.dir.file(c.id)); err == nil {
			c.state = whole
		}
	})
	if err != nil {
		return &diskError{err}
	}
	c.place = s.order.PushFront(c)
	s.warned.Store(false)
	return nil
}

// undo ends a copy that came to nothing. Readers who have its file open read on as far as it goes, and then from the store.
func (s *Store) undo(c *copied, path string) {
	err := os.Remove(path) // one that stays counts, and goes at the next start
	s.mu.Lock()
	_ = s.drop(c) // it has no other file
	c.removed = err == nil || errors.Is(err, fs.ErrNotExist)
	s.free(c)
	s.mu.Unlock()
	c.change(func() { c.state = gone })
}

// hand gives the first reader what was opened for a copy that is not made.
func (s *Store) hand(ctx context.Context, c *copied) (io.ReadCloser, error) {
	defer s.release(c)
	if c.handedErr != nil {
		c.cancel()
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("cached: open %s: %w", c.id, err)
		}
		return nil, c.handedErr
	}
	return &handed{ReadCloser: c.handed, ctx: ctx, cancel: c.cancel, stop: context.AfterFunc(ctx, c.cancel)}, nil
}

// handed is a reader of the store, opened under a copy's context, that is ruled by another.
type handed struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelFunc
	stop   func() bool
}

// Read implements io.Reader.
func (h *handed) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := h.ReadCloser.Read(p)
	if ended := h.ctx.Err(); err != nil && ended != nil && !errors.Is(err, io.EOF) {
		err = ended
	}
	return n, err
}

// Close implements io.Closer.
func (h *handed) Close() error {
	h.stop()
	err := h.ReadCloser.Close()
	h.cancel()
	return err
}
