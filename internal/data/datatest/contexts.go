package datatest

import (
	"context"
	"errors"
	"io"
	"time"

	"holdfast/internal/data"
)

// endedContext checks that every call says so.
func (s *suite) endedContext() {
	id, other := s.mustStore([]byte("content")), s.newID()
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	late, cancelLate := context.WithDeadline(s.Context(), time.Now().Add(-time.Hour))
	defer cancelLate()
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		_, err := s.store.Stat(c.ctx, id)
		s.wantError("stat", err, c.want)
		s.wantError("delete", s.store.Delete(c.ctx, id), c.want)

		// Open, Create and List may put the first request off.
		r, err := s.store.Open(c.ctx, id, 0, -1)
		if err == nil {
			_, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
		}
		s.wantError("read", err, c.want)
		w, err := s.store.Create(c.ctx, other)
		if err == nil {
			_, err = w.Write([]byte("content"))
			_, commitErr := w.Commit(s.Context())
			if commitErr == nil {
				s.Fatal("commit of a writer whose context has ended: no error")
			}
			err = errors.Join(err, commitErr)
			w.Abort()
		}
		s.wantError("create, write, commit", err, c.want)
		err = nil
		for _, e := range s.store.List(c.ctx, "") {
			err = errors.Join(err, e)
		}
		s.wantError("list", err, c.want)
	}
	s.wantSegment(id, []byte("content"))
	s.wantAbsent(other)
}

// cancelledWrite ends the context of a writer that has written several parts: what follows fails, and a
// commit under another context does not save it.
func (s *suite) cancelledWrite() {
	for _, size := range []int64{1000, 2*s.PartSize + 1000} {
		id := s.newID()
		ctx, cancel := context.WithCancel(s.Context())
		w, err := s.store.Create(ctx, id)
		if err != nil {
			cancel()
			s.Fatal(err)
		}
		s.mustWrite(w, s.randomBytes(size), 64<<10)
		cancel()
		// Small writes may still go into a buffer. The commit may not.
		_, err = w.Write(s.randomBytes(100))
		_, commitErr := w.Commit(s.Context())
		if commitErr == nil {
			s.Fatal("commit of a writer whose context has ended: no error")
		}
		s.wantError("write or commit", errors.Join(err, commitErr), context.Canceled)
		w.Abort()
		s.wantAbsent(id)
	}
}

// cancelledCommit ends the context that Commit is given.
func (s *suite) cancelledCommit() {
	for _, size := range []int64{1000, 2*s.PartSize + 1000} {
		id := s.newID()
		w := s.mustBegin(id)
		s.mustWrite(w, s.randomBytes(size), 64<<10)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := w.Commit(ctx)
		s.wantError("commit", err, context.Canceled)
		w.Abort()
		s.wantAbsent(id)
	}
}

// cancelledRead ends the context of a reader: the read ends with an error, or with the whole segment.
func (s *suite) cancelledRead() {
	content := s.randomBytes(8 << 20)
	id := s.mustStore(content)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	r, err := s.store.Open(ctx, id, 0, -1)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		s.Fatal(err)
	}
	cancel()
	rest, err := io.ReadAll(r)
	if err == nil && len(rest)+1000 != len(content) {
		s.Errorf("a read that was cut looks clean after %d of %d bytes", len(rest)+1000, len(content))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Errorf("a read that was cut: %v, want context.Canceled", err)
	}
	_ = r.Close() // may tell of the cut again
	if _, err := s.store.Stat(s.Context(), id); errors.Is(err, data.ErrNotFound) {
		s.Error("the segment went with its reader")
	}
}
