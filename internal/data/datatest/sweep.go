package datatest

import (
	"context"
	"errors"
	"time"
)

// sweep sweeps beside writers. What a driver's processes leave when they die is tried by the driver's own tests.
func (s *suite) sweep() {
	kept := s.randomBytes(2*s.PartSize + 100)
	keptID := s.mustStore(kept)
	content := s.randomBytes(2*s.PartSize + 100)

	young := s.newID()
	w := s.mustBegin(young)
	s.mustWrite(w, content, 100_003)
	if n, err := s.store.Sweep(s.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		s.Errorf("sweep of what was begun an hour ago: %d, %v, want 0", n, err)
	}
	s.mustCommit(w, int64(len(content)))
	s.wantSegment(young, content)

	// A writer that is alive, against the caller's promise, fails or is not touched. A store that is slow to answer may have begun it more than once, for the
	// driver asked again.
	swept := s.newID()
	w = s.mustBegin(swept)
	s.mustWrite(w, content, 100_003)
	if n, err := s.store.Sweep(s.Context(), time.Now().Add(time.Hour)); n > 3 || err != nil {
		s.Errorf("sweep of all that was begun: %d, %v, want one, or a few", n, err)
	}
	if _, err := w.Commit(s.Context()); err == nil {
		s.wantSegment(swept, content)
	} else {
		w.Abort()
		s.wantAbsent(swept)
	}
	s.wantSegment(keptID, kept)
	s.wantSegment(young, content)

	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if n, err := s.store.Sweep(ctx, time.Now()); n != 0 || !errors.Is(err, context.Canceled) {
		s.Errorf("sweep with a context that has ended: %d, %v", n, err)
	}
}
