package shared_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/shared"
)

const (
	mib  = 1 << 20
	id   = data.ID("00112233445566778899aabbccddeeff")
	unit = 256 << 10 // in which test bodies come
)

var errGone = fmt.Errorf("the store is gone: %w", data.ErrUnavailable)

// store is a Source of one segment in memory whose connections take time, which passes in a bubble of testing/synctest only.
type store struct {
	content []byte
	version string
	latency time.Duration
	rate    int64 // bytes a second of a connection, 0: at once

	// broken is asked before each unit of a body, and may end it with an error.
	broken func(request int, offset, at int64) error
	// other makes a request be answered by another object.
	other func(request int) bool

	mu       sync.Mutex
	requests int
	bytes    int64 // that were taken
	open     int   // bodies
	most     int   // of them at once
}

func newStore(size int64) *store {
	s := &store{content: make([]byte, size), version: "v", latency: 10 * time.Millisecond, rate: 80e6}
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(s.content) // never fails
	return s
}

func (s *store) OpenRange(ctx context.Context, _ data.ID, offset, length int64, want shared.Object) (shared.Body, error) {
	s.mu.Lock()
	s.requests++
	request := s.requests
	s.open++
	s.most = max(s.most, s.open)
	s.mu.Unlock()
	b := &body{store: s, ctx: ctx, request: request, offset: offset, at: offset, end: min(offset+length, int64(len(s.content))), object: shared.Object{Version: s.version, Size: int64(len(s.content))}}
	b.short = b.end < offset+length
	if offset >= int64(len(s.content)) || length == 0 { // S3 has no range of it, and does not say of what object
		b.end, b.object = offset, shared.Object{}
	}
	if s.other != nil && s.other(request) {
		b.object.Version = "another"
	}
	err := b.sleep(s.latency)
	if err == nil && s.broken != nil {
		err = s.broken(request, offset, offset)
	}
	if err == nil && want != (shared.Object{}) && want != b.object {
		err = fmt.Errorf("it is another object: %w", data.ErrUnavailable)
	}
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

func (s *store) took() (requests int, bytes int64, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.bytes, s.most
}

type body struct {
	store   *store
	ctx     context.Context
	request int
	offset  int64
	at, end int64
	object  shared.Object
	short   bool
	closed  bool
}

func (b *body) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.at == b.end {
		if b.short {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, io.EOF
	}
	if b.store.broken != nil {
		if err := b.store.broken(b.request, b.offset, b.at); err != nil {
			return 0, err
		}
	}
	n := copy(p[:min(len(p), unit)], b.store.content[b.at:b.end])
	if b.store.rate > 0 {
		if err := b.sleep(time.Duration(n) * time.Second / time.Duration(b.store.rate)); err != nil {
			return 0, err
		}
	}
	b.at += int64(n)
	b.store.mu.Lock()
	b.store.bytes += int64(n)
	b.store.mu.Unlock()
	return n, nil
}

func (b *body) Object() shared.Object { return b.object }

func (b *body) Close() error {
	if b.closed {
		return errors.New("closed twice")
	}
	b.closed = true
	b.store.mu.Lock()
	b.store.open--
	b.store.mu.Unlock()
	return nil
}

// memory lends so many bytes.
type memory struct {
	mu   sync.Mutex
	most int64
	lent int64
	peak int64
}

const pieceBytes = 256 << 10

func (m *memory) Lendable() int64 { return m.most }

func (m *memory) Lend(bytes, keep int64) (pieces [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := (bytes + pieceBytes - 1) / pieceBytes
	if m.lent+n*pieceBytes > m.most-keep {
		return nil
	}
	m.lent += n * pieceBytes
	m.peak = max(m.peak, m.lent)
	for range n {
		pieces = append(pieces, make([]byte, pieceBytes))
	}
	return pieces
}

func (m *memory) Return(pieces [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lent -= int64(len(pieces)) * pieceBytes
	for _, p := range pieces {
		clear(p) // whoever reads it still, reads nonsense
	}
}

func (m *memory) inUse() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lent
}

// client reads a range at its own speed and compares every byte.
type client struct {
	rate  int64 // bytes a second; 0: at once
	stop  int64 // after so many bytes it leaves; 0: at the end
	pause func(read int64) time.Duration
}

func (c client) read(t *testing.T, ctx context.Context, reads *shared.Reads, s *store, offset, length int64) error { //nolint:revive // t first, as in all helpers
	t.Helper()
	r, err := reads.Open(ctx, id, offset, length)
	if err != nil {
		return err
	}
	var got int64
	p := make([]byte, 256<<10)
	for c.stop == 0 || got < c.stop {
		n, err := r.Read(p)
		if string(p[:n]) != string(s.content[offset+got:offset+got+int64(n)]) {
			t.Errorf("wrong bytes at %d", offset+got)
			return errors.Join(errors.New("wrong bytes"), r.Close())
		}
		got += int64(n)
		if c.rate > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
		}
		if c.pause != nil {
			time.Sleep(c.pause(got))
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			if got != length {
				t.Errorf("a clean end after %d of %d bytes", got, length)
			}
			break
		}
		if err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return r.Close()
}
