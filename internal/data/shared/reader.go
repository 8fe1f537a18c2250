package shared

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/data"
)

const (
	// minAhead is how far ahead of a client is always read, so that the next chunk has begun when it comes there.
	minAhead = ChunkBytes / 8
	// maxAhead is how far ahead is read of a client that had to wait for the store in each of its last chunks.
	maxAhead = minAhead + 4*ChunkBytes
	// slowTime is how long a client may take for a chunk that is there. One that takes longer has no memory kept for it.
	slowTime = 10 * time.Second
	// patience is how long others wait, all their waits together, for one that is far behind, and lateShare of its own time if that is more.
	patience  = 2 * time.Second
	lateShare = 4
	// lookTime is how often somebody who waits for memory looks who is in the way.
	lookTime = 100 * time.Millisecond

	scarceBytes = 16 << 20 // what is read alone for want of memory
	slowBytes   = 64 << 20 // what is read alone by a slow client
)

var errClosed = errors.New("the reader is closed")

// reader reads a range of a segment for one client. Where it can it reads shared chunks; where there is no memory, where it is no whole chunk, and
// while its client is slow it reads alone: one ranged request, whose bytes wait in the connection. Not safe for concurrent use. The
// fields from flock on are under Reads.mu.
type reader struct {
	reads *Reads
	ctx   context.Context //nolint:containedctx // Open's, which rules the reader
	id    data.ID
	short bool  // the object has less than was asked for
	alone Body  // nil: it shares
	until int64 // where it stops to read alone
	err   error // the end, for good

	flock  *flock // nil while it reads alone
	object Object
	pos    int64
	end    int64
	chunk  *chunk // that it is in
	ahead  int64
	since  time.Time // when it came into the chunk, or waited last
	waits  bool      // it waits for the store or for memory: that is not its client's fault
	waited bool      // for the store, in this chunk
	joined time.Time
	late   time.Duration // how long others waited for it since it joined them
}

// Open reads length bytes of a segment from offset, length > 0. It returns when the store has begun to answer, and needs no answer
// of its own where others read the same. For the reader and for errors see data.Store.
func (s *Reads) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r := &reader{reads: s, ctx: ctx, id: id, pos: offset, end: offset + length, ahead: minAhead}
	if err := r.begin(); err != nil { //nolint:contextcheck // the reader has it
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// begin waits for the first answer.
func (r *reader) begin() error {
	for {
		if r.alone != nil || r.pos == r.end { // it reads, or the object ends before
			return nil
		}
		c, err := r.current()
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		s := r.reads
		s.mu.Lock()
		if c.answered && !c.gone {
			r.learn(c.flock.object)
			s.mu.Unlock()
			return nil
		}
		if err := r.wait(c); err != nil {
			return err
		}
	}
}

// learn takes what the store has told of the object.
func (r *reader) learn(object Object) {
	if r.object != (Object{}) {
		return
	}
	r.object = object
	if r.end > object.Size {
		r.short = true
		r.end = max(r.pos, object.Size)
	}
}

// Size is the segment's size in bytes: it is known once Open has returned.
func (r *reader) Size() int64 { return r.object.Size }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.read(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	for {
		switch {
		case r.pos == r.end && r.short:
			return 0, io.ErrUnexpectedEOF
		case r.pos == r.end:
			return 0, io.EOF
		case r.alone != nil:
			n, err := r.readAlone(p)
			if n > 0 || err != nil {
				return n, err
			}
		default:
			c, err := r.current()
			if err != nil {
				return 0, err
			}
			if c == nil {
				continue
			}
			n, err := r.readChunk(c, p)
			if n > 0 || err != nil {
				return n, err
			}
		}
	}
}

// readAlone reads from the reader's own request, and ends it where it was to end.
func (r *reader) readAlone(p []byte) (int, error) {
	n, err := r.alone.Read(p[:min(int64(len(p)), r.until-r.pos)])
	r.advance(int64(n))
	r.reads.count(int64(n))
	if r.pos == r.until && (err == nil || errors.Is(err, io.EOF)) {
		err = r.alone.Close()
		r.alone = nil
		return n, err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *Reads) count(alone int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Alone += alone
}

func (r *reader) advance(n int64) {
	r.reads.mu.Lock()
	defer r.reads.mu.Unlock()
	r.pos += n
}

// current returns the chunk that the reader is in, or nil once it reads alone, or was told that the object ends before.
func (r *reader) current() (*chunk, error) {
	s := r.reads
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.flock == nil {
		s.join(r)
		if object := r.flock.object; object != (Object{}) {
			r.learn(object)
		}
	}
	if r.pos == r.end {
		return nil, nil //nolint:nilnil // there is nothing to read
	}
	index := r.pos / ChunkBytes
	if c := r.chunk; c != nil && c.index == index {
		switch {
		case !c.gone:
			return c, nil
		case c.err != nil:
			return nil, r.goAlone(ChunkBytes)
		default:
			return nil, r.goAlone(slowBytes)
		}
	}
	now := time.Now()
	slow := r.slow(now)
	r.enter(now)
	if !r.whole(index) || r.pos%ChunkBytes != 0 && r.flock.chunks[index] == nil {
		return nil, r.goAlone(ChunkBytes)
	}
	if slow {
		return nil, r.goAlone(slowBytes)
	}
	c, err := r.wantChunk(index)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, r.goAlone(scarceBytes)
	}
	r.chunk, r.since = c, time.Now()
	return c, nil
}

// enter is called on the way from one chunk to the next: who had to wait for the store has more read ahead, who had not has less.
func (r *reader) enter(now time.Time) {
	if r.chunk != nil {
		if r.waited {
			r.ahead = min(r.ahead+ChunkBytes, maxAhead)
		} else {
			r.ahead = max(r.ahead-ChunkBytes, minAhead)
		}
	}
	old := r.chunk
	r.chunk, r.waited, r.since = nil, false, now
	if old != nil && old.flock.tight && !r.reads.needed(old, now) {
		r.reads.drop(old)
	}
}

// whole reports whether all of a chunk, which may be the segment's last, is of the range: no more is read than was asked for.
func (r *reader) whole(index int64) bool {
	end := (index + 1) * ChunkBytes
	return end <= r.end || r.object != (Object{}) && r.end == r.object.Size
}

// slow reports whether the reader's client does not keep up, so that no memory is kept for it.
func (r *reader) slow(now time.Time) bool {
	return r.late > max(patience, now.Sub(r.joined)/lateShare) || !r.waits && now.Sub(r.since) > slowTime
}

// wantChunk returns a chunk that the client waits for. Where there is no memory, because of those who read the same segment and are behind, it waits for
// them; nil where that would help nobody, and for a reader who is waited for himself.
func (r *reader) wantChunk(index int64) (*chunk, error) {
	s := r.reads
	for {
		now := time.Now()
		if c := s.chunk(r, index, false, now); c != nil {
			return c, nil
		}
		if !r.flock.holds(index) || !r.blame(now) {
			return nil, nil //nolint:nilnil // it reads alone
		}
		if s.returned == nil {
			s.returned = make(chan struct{})
		}
		if err := r.pause(s.returned, lookTime); err != nil {
			return nil, err
		}
	}
}

// blame charges the last reader of the flock for the time since somebody did, and reports whether there is one behind.
func (r *reader) blame(now time.Time) bool {
	f := r.flock
	var last *reader
	for other := range f.readers {
		if other.chunk != nil && !other.slow(now) && (last == nil || other.pos < last.pos) {
			last = other
		}
	}
	if last == nil || last.pos/ChunkBytes >= r.pos/ChunkBytes {
		return false
	}
	if since := now.Sub(f.blamed); since > 0 {
		last.late += min(since, lookTime)
		f.blamed = now
	}
	return true
}

// pause waits outside of the lock for a channel, or a time if it is not 0. Errors: the context's.
func (r *reader) pause(moved <-chan struct{}, most time.Duration) error {
	var look <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		look = timer.C
	}
	r.waits = true
	r.reads.mu.Unlock()
	var err error
	select {
	case <-moved:
	case <-look:
	case <-r.ctx.Done():
		err = fmt.Errorf("shared: read segment %s: %w", r.id, r.ctx.Err())
	}
	r.reads.mu.Lock()
	r.waits, r.since = false, time.Now()
	return err
}

// wait waits for a chunk to move on; it is called under the lock, and ends it.
func (r *reader) wait(c *chunk) error {
	defer r.reads.mu.Unlock()
	if c.gone {
		return nil
	}
	if r.pos-c.start() >= minAhead { // before, it is the time that the store takes to answer
		r.waited = true
	}
	return r.pause(c.waiting(), 0)
}

// readChunk copies what is there of the chunk, or waits for it: then no bytes and no error.
func (r *reader) readChunk(c *chunk, p []byte) (int, error) {
	s := r.reads
	s.mu.Lock()
	if c.gone {
		s.mu.Unlock()
		return 0, nil
	}
	r.readAhead()
	from, to := r.pos-c.start(), min(c.filled, r.end-c.start())
	if from >= to {
		if c.done && c.err == nil { // all of it is there: the object ended
			s.mu.Unlock()
			return 0, io.ErrUnexpectedEOF
		}
		return 0, r.wait(c)
	}
	c.pins++
	s.mu.Unlock()

	piece := int64(len(c.pieces[0]))
	q := c.pieces[from/piece][from%piece:]
	n := copy(p, q[:min(int64(len(q)), to-from)])

	s.mu.Lock()
	defer s.mu.Unlock()
	c.pins--
	c.read = max(c.read, from+int64(n))
	r.pos += int64(n)
	s.counts.Shared += int64(n)
	s.free(c)
	return n, nil
}

// readAhead begins to fetch what the client will need soon, while there is memory to spare.
func (r *reader) readAhead() {
	for index := r.pos/ChunkBytes + 1; index*ChunkBytes <= r.pos+r.ahead && index*ChunkBytes < r.end; index++ {
		if !r.whole(index) || r.flock.chunks[index] == nil && r.reads.chunk(r, index, true, time.Now()) == nil {
			return
		}
	}
}

// goAlone begins to read alone, to the next multiple of unit or the range's end; it is called under the lock.
func (r *reader) goAlone(unit int64) error {
	s := r.reads
	until := min(r.pos-r.pos%unit+unit, r.end)
	if r.end-until < ChunkBytes || !r.whole(until/ChunkBytes) {
		until = r.end // no request for what is no chunk
	}
	s.leave(r)
	s.mu.Unlock()
	body, err := s.source.OpenRange(r.ctx, r.id, r.pos, until-r.pos, r.object)
	s.mu.Lock()
	if err != nil {
		return err
	}
	r.learn(body.Object())
	r.alone, r.until = body, min(until, r.end)
	if r.pos == r.until {
		r.alone = nil
		return body.Close()
	}
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = errClosed
	}
	r.reads.mu.Lock()
	r.reads.leave(r)
	r.reads.mu.Unlock()
	if r.alone == nil {
		return nil
	}
	err := r.alone.Close()
	r.alone = nil
	return err
}
