package shared

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"holdfast/internal/data"
)

const (
	// ChunkBytes is what is read from the store by one request, and shared.
	ChunkBytes = 8 << 20
	// aheadKeeps is the share of the memory into which nothing is read ahead: it is for chunks that a client waits for.
	aheadKeeps = 4
	// firstKeeps is the share that is not for clients who are ahead of others: those who are behind must come on.
	firstKeeps = 8
)

// Reads are the readers of a store's segments. Safe for concurrent use.
type Reads struct {
	source Source
	memory Memory
	most   int64 // bytes that the memory lends

	mu       sync.Mutex
	flocks   map[data.ID]*flock
	returned chan struct{} // closed when memory came back, or a reader left; nil when nobody waits
	counts   Counts
}

// Counts are bytes since the start.
type Counts struct {
	Fetched int64 // from the store, into chunks
	Shared  int64 // given to readers, from chunks
	Unread  int64 // of Fetched: dropped before anybody had read them
	Alone   int64 // given to readers who read by themselves
}

// New returns readers of a source, in memory of their own kind. It starts nothing.
func New(source Source, memory Memory) *Reads {
	return &Reads{source: source, memory: memory, most: memory.Lendable(), flocks: map[data.ID]*flock{}}
}

// Counts returns what was read so far.
func (s *Reads) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Reclaim gives back the memory that no reader needs. For a Memory that others want.
func (s *Reads) Reclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropUnneeded(time.Now())
}

// Forget lets no reader that begins now share what is read of a segment: it was deleted. Who reads it already goes on.
func (s *Reads) Forget(id data.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flocks[id]; f != nil {
		delete(s.flocks, id)
	}
}

// flock is the readers of one segment who share chunks. All fields are under Reads.mu, as are those of its chunks and readers.
type flock struct {
	id      data.ID
	object  Object // zero before the store's first answer
	readers map[*reader]struct{}
	chunks  map[int64]*chunk
	tight   bool      // memory was short: no chunk that all have read is kept any more for those who come late
	blamed  time.Time // until when somebody was blamed for a wait
}

// chunk is a part of a segment in memory, or on its way there. Its first filled bytes never change.
type chunk struct {
	flock    *flock
	index    int64
	size     int64 // less than ChunkBytes at the segment's end
	pieces   [][]byte
	filled   int64
	read     int64 // what somebody has read of it
	answered bool  // the store has begun to answer: filled may still be 0
	done     bool  // the fetch has ended
	err      error // why it ended early
	gone     bool  // it is not its flock's any more, and its memory goes back once nobody touches it
	pins     int   // who touches it
	progress chan struct{}
	cancel   context.CancelFunc
}

func (c *chunk) start() int64 { return c.index * ChunkBytes }

// join makes r one of the readers of its segment.
func (s *Reads) join(r *reader) {
	f := s.flocks[r.id]
	if f == nil || r.object != (Object{}) && f.object != r.object {
		f = &flock{id: r.id, object: r.object, readers: map[*reader]struct{}{}, chunks: map[int64]*chunk{}}
		s.flocks[r.id] = f // in place of readers of another object, or who do not know theirs yet: they go on without it
	}
	f.readers[r] = struct{}{}
	r.flock, r.late, r.joined, r.since = f, 0, time.Now(), time.Now()
}

// leave is the opposite of join. It ends what only r needed.
func (s *Reads) leave(r *reader) {
	f := r.flock
	if f == nil {
		return
	}
	r.flock, r.chunk = nil, nil
	delete(f.readers, r)
	if len(f.readers) == 0 && s.flocks[f.id] == f {
		delete(s.flocks, f.id)
	}
	now := time.Now()
	for _, c := range f.chunks {
		if len(f.readers) == 0 || (f.tight || !c.done) && !s.needed(c, now) {
			s.drop(c)
		}
	}
	s.wake()
}

// needed reports whether a reader who keeps up will read of c.
func (s *Reads) needed(c *chunk, now time.Time) bool {
	start, end := c.start(), c.start()+c.size
	for r := range c.flock.readers {
		if r.pos < end && start < r.end && start-r.pos <= s.most && !r.slow(now) {
			return true
		}
	}
	return false
}

// dropUnneeded gives back the memory of all chunks that nobody needs.
func (s *Reads) dropUnneeded(now time.Time) {
	for _, f := range s.flocks {
		f.tight = true
		for _, c := range f.chunks {
			if !s.needed(c, now) {
				s.drop(c)
			}
		}
	}
}

// drop takes a chunk out of its flock. Its fetch ends, and its memory goes back when nobody touches it.
func (s *Reads) drop(c *chunk) {
	if c.gone {
		return
	}
	c.gone = true
	if c.flock.chunks[c.index] == c {
		delete(c.flock.chunks, c.index)
	}
	c.cancel()
	s.free(c)
}

func (s *Reads) free(c *chunk) {
	if !c.gone || !c.done || c.pins > 0 || c.pieces == nil {
		return
	}
	s.counts.Unread += c.filled - c.read
	s.memory.Return(c.pieces)
	c.pieces = nil
	s.wake()
}

// wake lets those look again who wait for memory.
func (s *Reads) wake() {
	if s.returned != nil {
		close(s.returned)
		s.returned = nil
	}
}

// chunk returns a chunk that r needs: one that is there or on its way, or a new one, which it begins to fetch. nil when there
// is no memory. ahead is for a chunk that nobody waits for yet.
func (s *Reads) chunk(r *reader, index int64, ahead bool, now time.Time) *chunk {
	f := r.flock
	if c := f.chunks[index]; c != nil {
		return c
	}
	size, keep := int64(ChunkBytes), int64(0)
	if f.object != (Object{}) {
		size = min(size, f.object.Size-index*ChunkBytes)
	}
	switch {
	case ahead:
		keep = s.most / aheadKeeps
	case f.holds(index):
		keep = s.most / firstKeeps
	}
	pieces := s.memory.Lend(size, keep)
	if pieces == nil {
		s.dropUnneeded(now)
		pieces = s.memory.Lend(size, keep)
	}
	if pieces == nil {
		return nil
	}
	// The fetch is for all who need the chunk: it ends when none is left, not with the one who began it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	c := &chunk{flock: f, index: index, size: size, pieces: pieces, cancel: cancel}
	f.chunks[index] = c
	go s.fetch(ctx, c, f.object)
	return c
}

// holds reports whether there are chunks before index: for those who are behind.
func (f *flock) holds(index int64) bool {
	for i := range f.chunks {
		if i < index {
			return true
		}
	}
	return false
}

// fetch fills a chunk. When it fails nobody is told of its error: who needs what is missing reads it alone, and gets the store's answer to
// that; later readers find the chunk gone and fetch it anew.
func (s *Reads) fetch(ctx context.Context, c *chunk, want Object) {
	defer c.cancel()
	err := s.fill(ctx, c, want)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.done, c.err = true, err
	if err != nil && c.flock.chunks[c.index] == c {
		delete(c.flock.chunks, c.index)
		c.gone = true
	}
	c.moved()
	s.free(c)
}

func (s *Reads) fill(ctx context.Context, c *chunk, want Object) (err error) {
	s.mu.Lock()
	size := c.size
	s.mu.Unlock()
	body, err := s.source.OpenRange(ctx, c.flock.id, c.start(), size, want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if size, err = s.answered(c, body.Object()); err != nil {
		return err
	}
	piece := int64(len(c.pieces[0]))
	for at := int64(0); at < size; {
		p := c.pieces[at/piece][at%piece:]
		n, err := body.Read(p[:min(int64(len(p)), size-at)])
		at += int64(n)
		if s.filled(c, int64(n)) && err == nil {
			return nil // nobody needs it any more
		}
		if err != nil && at < size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// answered notes the object that the bytes come from, and returns how many of the chunk it has. Errors: it is another one than before.
func (s *Reads) answered(c *chunk, object Object) (size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := c.flock
	if f.object == (Object{}) {
		f.object = object
	}
	if f.object != object {
		return 0, fmt.Errorf("shared: segment %s: it is not the object it was: %w", f.id, data.ErrUnavailable)
	}
	c.size = max(0, min(c.size, object.Size-c.start()))
	c.answered = true
	c.moved()
	return c.size, nil
}

// filled counts bytes in, and reports whether the chunk was dropped.
func (s *Reads) filled(c *chunk, n int64) (gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.filled += n
	s.counts.Fetched += n
	c.moved()
	return c.gone
}

// moved wakes those who wait for the chunk.
func (c *chunk) moved() {
	if c.progress != nil {
		close(c.progress)
		c.progress = nil
	}
}

// waiting is closed when the chunk has moved on.
func (c *chunk) waiting() <-chan struct{} {
	if c.progress == nil {
		c.progress = make(chan struct{})
	}
	return c.progress
}
