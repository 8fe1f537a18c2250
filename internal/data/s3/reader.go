package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/s3"
)

const (
	resumes    = 3 // without a byte between them
	resumeWait = 100 * time.Millisecond
)

// Open implements data.Store with one ranged GetObject. The reader asks for the rest where a connection breaks
// or brings nothing for ten seconds, three times without progress, and only of the same object.
func (s *Store) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := s.open(ctx, id, offset, length)
	if err != nil {
		return nil, fmt.Errorf("s3: open segment %s: %w", id, err)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, id data.ID, offset, length int64) (*reader, error) {
	key, err := s.key(id)
	if err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fmt.Errorf("no range: %d bytes from %d", length, offset)
	}
	r := &reader{ctx: ctx, store: s, id: id, key: key, offset: offset}
	if length == 0 {
		_, err := s.client.Head(ctx, key)
		if err != nil {
			return nil, wrap(err)
		}
		return r, nil
	}
	body, err := s.client.Get(ctx, key, offset, length)
	if err != nil && s3.KindOf(err) == s3.BadRange && !s3.IsContext(err) {
		info, err := s.client.Head(ctx, key)
		if err != nil {
			return nil, wrap(err)
		}
		r.short = length > 0 || offset > info.Size
		return r, nil
	}
	if err != nil {
		return nil, wrap(err)
	}
	r.body, r.object, r.rest = body, body.Info, body.Length
	r.short = length > body.Length
	return r, nil
}

// reader reads a range across broken connections. Not safe for concurrent use.
type reader struct {
	ctx    context.Context // Open's, which rules the reader
	store  *Store
	id     data.ID
	key    string
	object s3.Info
	offset int64
	rest   int64    // bytes that the store has of the range
	short  bool     // and it has not all
	body   *s3.Body // nil between two connections
	broken int      // connections without a byte, in a row
	err    error    // the end, for good
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for r.rest > 0 {
		n, err := r.next(p)
		if n > 0 {
			r.broken = 0
			r.offset += int64(n)
			r.rest -= int64(n)
			return n, nil
		}
		if err != nil {
			r.err = fmt.Errorf("s3: read segment %s: %w", r.id, err)
			return 0, r.err
		}
	}
	if r.err = io.EOF; r.short {
		r.err = io.ErrUnexpectedEOF
	}
	return 0, r.err
}

// next reads from the connection, or makes a new one: then no bytes and no error.
func (r *reader) next(p []byte) (int, error) {
	if r.body == nil {
		return 0, r.resume()
	}
	n, err := r.body.Read(p)
	if err == nil || n > 0 && r.rest == int64(n) {
		return n, nil
	}
	_ = r.body.Close()
	r.body = nil
	if s3.IsContext(err) {
		return n, err
	}
	if n == 0 {
		r.broken++
	}
	return n, r.spent(err)
}

// spent is an error once there were too many connections without a byte.
func (r *reader) spent(err error) error {
	if r.broken <= resumes {
		return nil
	}
	return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
}

func (r *reader) resume() error {
	if r.broken > 0 {
		wait := resumeWait << r.broken
		t := time.NewTimer(wait/2 + time.Duration(rand.Int64N(int64(wait/2)))) //nolint:gosec // G404: jitter is no secret
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	body, err := r.store.client.Get(r.ctx, r.key, r.offset, r.rest)
	if err != nil {
		if s3.IsContext(err) || s3.KindOf(err) == s3.NotFound {
			return wrap(err)
		}
		r.broken++
		return r.spent(err)
	}
	if body.Version != r.object.Version || body.Size != r.object.Size || body.Length != r.rest {
		return errors.Join(fmt.Errorf("%w: it is not the object it was", data.ErrUnavailable), body.Close())
	}
	r.body = body
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = errEnded
	}
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
