package datatest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"holdfast/internal/data"
)

func (s *suite) absent() {
	id := s.newID()
	s.wantAbsent(id)
	_, err := s.read(id, 10, 10)
	s.wantError("open of a range", err, data.ErrNotFound)
	if err := s.store.Delete(s.Context(), id); err != nil {
		s.Fatalf("delete: %v", err)
	}
}

func (s *suite) ranges() {
	content := s.randomBytes(100_000)
	id := s.mustStore(content)
	s.wantSegment(id, content)
	for _, r := range [][2]int64{
		{0, 100_000}, {0, 1}, {0, 99_999}, {1, -1}, {1, 99_999}, {50_000, 1}, {50_000, 32_768}, {50_000, -1},
		{99_999, 1}, {99_999, -1}, {0, 0}, {50_000, 0}, {100_000, 0},
	} {
		s.wantRange(id, content, r[0], r[1])
	}
	// A reader that is closed early is nobody's loss.
	r, err := s.store.Open(s.Context(), id, 0, -1)
	if err != nil {
		s.Fatal(err)
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, content[:10]) {
		s.Fatalf("read of the first bytes: %v", err)
	}
	if err := r.Close(); err != nil {
		s.Fatalf("close before the end: %v", err)
	}
	s.wantSegment(id, content)
}

func (s *suite) pastEnd() {
	const size = 10_000
	content := s.randomBytes(size)
	id := s.mustStore(content)
	for _, r := range [][2]int64{{0, size + 1}, {1, size}, {size - 1, 2}, {size, 1}, {size + 1, -1}, {size + 1, 1}, {size + 1, 0}, {1 << 40, 10}} {
		got, err := s.read(id, r[0], r[1])
		if err == nil && (r[1] != 0 || len(got) != 0) {
			s.Errorf("read %d+%d of %d bytes: %d bytes and no error", r[0], r[1], size, len(got))
		}
		if errors.Is(err, data.ErrNotFound) {
			s.Errorf("read %d+%d of %d bytes says that the segment is not there: %v", r[0], r[1], size, err)
		}
		if r[0] < size && !bytes.HasPrefix(content[r[0]:], got) {
			s.Errorf("read %d+%d of %d bytes: wrong bytes before the error", r[0], r[1], size)
		}
	}
	// The end itself, to its end: nothing, or an error.
	if got, _ := s.read(id, size, -1); len(got) != 0 {
		s.Errorf("read from the end: %d bytes", len(got))
	}
	for _, r := range [][2]int64{{-1, 10}, {-1, -1}, {0, -2}} {
		if got, err := s.read(id, r[0], r[1]); err == nil {
			s.Errorf("read %d+%d: %d bytes and no error", r[0], r[1], len(got))
		}
	}
}

func (s *suite) invisible() {
	content := s.randomBytes(2*s.PartSize + 100)
	id := s.newID()
	w := s.mustBegin(id)
	s.wantAbsent(id)
	s.mustWrite(w, content, 100_003)
	s.wantAbsent(id)
	s.mustCommit(w, int64(len(content)))
	s.wantSegment(id, content)
}

func (s *suite) abort() {
	for _, size := range []int64{0, 1000, s.PartSize, 2*s.PartSize + 1000} {
		id := s.newID()
		w := s.mustBegin(id)
		s.mustWrite(w, s.randomBytes(size), 1<<20)
		w.Abort()
		s.wantAbsent(id)
		w.Abort()
	}
}

func (s *suite) abortAfterCommit() {
	for _, size := range []int64{0, 1000, s.PartSize + 1} {
		content := s.randomBytes(size)
		id := s.newID()
		w := s.mustBegin(id)
		s.mustWrite(w, content, 1<<20)
		s.mustCommit(w, size)
		w.Abort()
		s.wantSegment(id, content)
	}
}

func (s *suite) ended() {
	id := s.newID()
	w := s.mustBegin(id)
	s.mustWrite(w, []byte("before"), 10)
	w.Abort()
	if _, err := w.Write([]byte("after")); err == nil {
		s.Error("write after Abort: no error")
	}
	if _, err := w.Commit(s.Context()); err == nil {
		s.Error("commit after Abort: no error")
	}
	s.wantAbsent(id)

	content := []byte("committed")
	id = s.newID()
	w = s.mustBegin(id)
	s.mustWrite(w, content, 100)
	s.mustCommit(w, int64(len(content)))
	if _, err := w.Write([]byte("after")); err == nil {
		s.Error("write after Commit: no error")
	}
	s.wantSegment(id, content)
}

// noAliasing reuses the buffer of a write at once, as io.Copy does.
func (s *suite) noAliasing() {
	content := s.randomBytes(s.PartSize + 12_345)
	id := s.newID()
	w := s.mustBegin(id)
	buffer := make([]byte, 4096)
	for at := 0; at < len(content); {
		n := copy(buffer, content[at:])
		s.mustWrite(w, buffer[:n], n)
		clear(buffer)
		at += n
	}
	s.mustCommit(w, int64(len(content)))
	s.wantSegment(id, content)
}

func (s *suite) empty() {
	id := s.mustStore(nil)
	s.wantSegment(id, nil)
	s.wantRange(id, nil, 0, 0)
	if _, err := s.read(id, 0, 1); err == nil {
		s.Error("read of one byte of an empty segment: no error")
	}
	entries := s.listBelow(string(id), before(id))
	if len(entries) != 1 || entries[0].Size != 0 {
		s.Errorf("list: %+v, want one entry of 0 bytes", entries)
	}
}

func (s *suite) sizes() {
	part := s.PartSize
	for _, size := range []int64{1, part - 1, part, part + 1, 2 * part, 3*part + 1234} {
		content := s.randomBytes(size)
		id := s.newID()
		w := s.mustBegin(id)
		s.mustWrite(w, content, 256<<10)
		s.mustCommit(w, size)
		s.wantSegment(id, content)
		if size > part {
			s.wantRange(id, content, part-1, 2) // the bytes on both sides of the boundary
			s.wantRange(id, content, part, -1)
		}
	}
	// One write may be larger than a part.
	content := s.randomBytes(2*part + 17)
	id := s.newID()
	w := s.mustBegin(id)
	s.mustWrite(w, content, len(content))
	s.mustCommit(w, int64(len(content)))
	s.wantSegment(id, content)
}

func (s *suite) large() {
	content := s.randomBytes(20<<20 + 4321)
	id := s.newID()
	w := s.mustBegin(id)
	rest := content
	for i := 0; len(rest) > 0; i++ {
		step := []int{1, 33_333, 0, 777_777, 4096, 65_537, 2_000_003}[i%7]
		n := min(step, len(rest))
		s.mustWrite(w, rest[:n], max(n, 1))
		if n == 0 {
			if n, err := w.Write(nil); n != 0 || err != nil {
				s.Fatalf("write of nothing: %d, %v", n, err)
			}
		}
		rest = rest[n:]
	}
	s.mustCommit(w, int64(len(content)))
	s.wantSegment(id, content)
	s.wantRange(id, content, 7_654_321, 1_234_567)
}

// full fills a segment to the store's limit: what fits is kept, and the rest goes into the next.
func (s *suite) full() {
	if s.MaxBytes == 0 {
		s.Log("the driver names no limit to try")
		return
	}
	const over = 100_000
	content := s.randomBytes(s.MaxBytes + over)
	first, second := s.newID(), s.newID()
	w := s.mustBegin(first)
	taken := 0
	for taken < len(content) {
		n, err := w.Write(content[taken:min(taken+300_007, len(content))])
		taken += n
		if errors.Is(err, data.ErrFull) {
			break
		}
		if err != nil {
			s.Fatalf("write after %d bytes: %v", taken, err)
		}
	}
	if taken == 0 || int64(taken) > s.MaxBytes {
		s.Fatalf("a segment limited to %d bytes took %d", s.MaxBytes, taken)
	}
	if n, err := w.Write(content[taken:]); n != 0 || !errors.Is(err, data.ErrFull) {
		s.Fatalf("write into a full segment: %d, %v", n, err)
	}
	s.mustCommit(w, int64(taken))
	s.wantSegment(first, content[:taken])
	s.mustStoreAs(second, content[taken:])
	s.wantSegment(second, content[taken:])
}

func (s *suite) presigned() {
	id := s.mustStore([]byte("content"))
	link, err := s.store.PresignedURL(s.Context(), id, time.Minute)
	if errors.Is(err, data.ErrNoURL) {
		return
	}
	if err != nil {
		s.Fatal(err)
	}
	if u, err := url.Parse(link); err != nil || u.Scheme == "" || u.Host == "" {
		s.Fatalf("%q is no absolute URL: %v", link, err)
	}
	// No request is made, so an ended context changes nothing that a client could see.
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.store.PresignedURL(ctx, id, time.Minute); err != nil && !errors.Is(err, context.Canceled) {
		s.Fatal(err)
	}
}
