package cached

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"holdfast/internal/data"
)

type state uint8

const (
	opening state = iota // whether it will be copied is not known yet
	filling
	whole
	gone // there is no copy, and will be none
)

// copied is the copy of a segment. Store.mu is taken before mu.
type copied struct {
	id     data.ID
	opened chan struct{} // closed once the state is not opening

	// Of Store.mu.
	bytes   int64         // of its file, as Store.used counts them
	readers int           // who have its file open, or are about to
	place   *list.Element // in Store.order; nil: it is not whole, or dropped
	dropped bool          // it is not in Store.copies any more
	removed bool          // nor is its file: its bytes are free when the last reader has closed it
	cancel  context.CancelFunc

	mu      sync.Mutex
	state   state
	size    int64         // of the segment; known once it is being filled, or sums are read
	sums    []uint32      // of the chunks that are in the file
	path    string        // of the file while it is being filled
	changed chan struct{} // closed by the next change; nil: nobody waits
	checked string        // the fingerprint of the file when all of it was found good; "": that was not yet

	// What the first reader gets when it is not to be copied. Of Store.mu, and set before opened is closed.
	handed    io.ReadCloser
	handedErr error
	left      bool // the first reader did not wait
}

var errNoRoom = errors.New("no room")

// use returns the copy that a reader is to wait for or to read, and counts the reader in; nil for one that is to read the store. first says that the copy
// was begun for this reader.
func (s *Store) use(ctx context.Context, id data.ID, offset, length int64) (c *copied, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.copies[id]
	switch {
	case s.closed || s.distrusted.Contains(id):
		return nil, false
	case c == nil && offset == 0 && s.fills < maxFills:
		c = s.begin(ctx, id, length)
		first = true
	case c == nil || c.place == nil && offset > 0:
		return nil, false
	}
	c.readers++
	if c.place != nil {
		s.order.MoveToFront(c.place)
	}
	return c, first
}

// release counts a reader out. A copy that nobody waits for any more goes on being made only when half of it is there.
func (s *Store) release(c *copied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.readers--
	if c.readers > 0 {
		return
	}
	s.free(c)
	if c.cancel == nil || c.place != nil {
		return
	}
	if now, have, size := c.progress(); now == opening || now == filling && have < size/2 {
		c.cancel()
		_ = s.drop(c) // its filler removes the file
	}
}

// free gives the bytes of a file back that is removed, and that nobody has open. mu is held.
func (s *Store) free(c *copied) {
	if c.removed && c.readers == 0 {
		s.used -= c.bytes
		c.bytes = 0
	}
}

// drop removes a copy: from now on no reader finds it. One that is being made is removed by its filler. Errors: those of the directory, in which the file
// stays and counts. mu is held.
func (s *Store) drop(c *copied) error {
	if c.dropped {
		return nil
	}
	c.dropped = true
	delete(s.copies, c.id)
	if c.place == nil {
		return nil
	}
	s.order.Remove(c.place)
	c.place = nil
	if err := s.dir.remove(c.id); err != nil {
		return err
	}
	c.removed = true
	s.free(c)
	return nil
}

// makeRoom removes what nobody reads, the longest unused first, until need more bytes are within the bound. Errors: errNoRoom; those of the directory. mu is
// held.
func (s *Store) makeRoom(need int64) error {
	for at := s.order.Back(); at != nil && s.used+need > s.max; {
		c := at.Value.(*copied)
		at = at.Prev()
		if c.readers > 0 {
			continue
		}
		if err := s.drop(c); err != nil {
			return err
		}
		s.counts.Evicted.Add(1)
	}
	if s.used+need > s.max {
		return errNoRoom
	}
	return nil
}

// bad drops a copy in which something is wrong.
func (s *Store) bad(ctx context.Context, c *copied) {
	s.counts.Damaged.Add(1)
	s.mu.Lock()
	err := s.drop(c)
	s.mu.Unlock()
	if err != nil {
		s.failed(ctx, "remove", err)
	}
}

// read returns a reader of a copy for which the caller was counted in. Errors: errNoCopy when it is to be looked for again, or read from the store; of the
// first one also those of the store.
func (s *Store) read(ctx context.Context, c *copied, first bool, offset, length int64) (io.ReadCloser, error) {
	select {
	case <-c.opened:
	case <-ctx.Done():
		if first {
			s.leave(c)
		}
		s.release(c)
		return nil, fmt.Errorf("cached: open %s: %w", c.id, ctx.Err())
	}
	if first && (c.handed != nil || c.handedErr != nil) {
		s.counts.Around.Add(1)
		return s.hand(ctx, c)
	}
	f, now, err := s.openFile(ctx, c)
	if err != nil {
		s.release(c)
		return nil, errNoCopy
	}
	if length == -1 {
		length = c.size - offset
	}
	if offset > c.size || length < 0 || length > c.size-offset || now == filling && length != c.size {
		_ = f.Close()
		s.release(c)
		return nil, errNoCopy
	}
	r := &reader{ctx: ctx, store: s, copied: c, file: f, offset: offset, left: length}
	switch {
	case first:
		s.counts.Misses.Add(1)
	case now == filling:
		s.counts.Shared.Add(1)
	default:
		s.counts.Hits.Add(1)
	}
	if now == whole {
		if offset == 0 && length == c.size {
			r.began = data.Fingerprint(f)
		}
		return &fileReader{r}, nil
	}
	return r, nil
}

// openFile opens the file of a copy and makes sure that its sums are known. A copy without a good file is dropped.
func (s *Store) openFile(ctx context.Context, c *copied) (*os.File, state, error) {
	c.mu.Lock()
	defer func() { c.mu.Unlock() }()
	path := c.path
	switch c.state {
	case whole:
		path = s.dir.file(c.id)
	case opening, gone:
		return nil, c.state, errNoCopy
	case filling:
	}
	f, err := os.Open(path)
	if err == nil && c.state == whole && c.sums == nil {
		if err = c.load(f); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		now := c.state
		c.mu.Unlock()
		s.bad(ctx, c)
		c.mu.Lock()
		return nil, now, err
	}
	return f, c.state, nil
}

// load reads the sums of a file that an earlier process left. mu is held.
func (c *copied) load(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNoCopy
	}
	c.size, c.sums, err = readSums(f, info.Size(), c.id)
	return err
}

// progress says how far the copy is.
func (c *copied) progress() (now state, have, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, int64(len(c.sums)) * chunkBytes, c.size
}

// sum returns the sum of a chunk, and waits for one that is not in the file yet. Errors: errNoCopy when it will not come; the context's.
func (c *copied) sum(ctx context.Context, chunk int64) (uint32, error) {
	for {
		c.mu.Lock()
		if chunk < int64(len(c.sums)) {
			sum := c.sums[chunk]
			c.mu.Unlock()
			return sum, nil
		}
		if c.state != filling {
			c.mu.Unlock()
			return 0, errNoCopy
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// change changes the copy, and wakes who waits for that.
func (c *copied) change(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}
