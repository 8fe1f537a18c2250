package s3

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"holdfast/internal/data"
)

const (
	// DefaultBudget is the memory for the uploads of a process, in bytes.
	DefaultBudget = 128 << 20
	// chunkSize is the unit in which a writer's buffer grows, so that a slow client holds little more
	// than it has sent.
	chunkSize = 256 << 10
)

// Budget is the memory that all writers of a process share, in chunks of 256 KiB. What they do not use, up to half of it, is lent to readers; what neither
// use holds segments that were read lately: see warm.go.
//
// A writer that needs a chunk when none is free waits its turn, first come first served. Chunks come
// back by themselves when an upload of a part ends. When fewer are on their way back than writers
// wait, the writer that holds the most in an unfinished part is sealed: that part is uploaded as the
// last of its segment, and its next Write answers ErrFull. So memory that sits with slow clients is
// given to fast ones, nobody waits for a client, and the price is a shorter segment.
type Budget struct {
	mu        sync.Mutex
	arena     []byte
	free      [][]byte
	total     int
	returning int // chunks of parts that are being uploaded
	waiters   []*waiter
	writers   map[*writer]*account
	closed    bool

	lent    int      // chunks that readers have: see lend.go
	reclaim []func() // have them give back what they can spare

	warm warmth // what nobody needs just now
}

// account is what the budget knows of a writer.
type account struct {
	holding int  // chunks of its unfinished part
	sealed  bool // it gets no more
	waiter  *waiter
}

type waiter struct {
	account *account
	chunk   chan []byte // one chunk, or nil: sealed
}

// NewBudget returns a budget of so many bytes, at least one chunk; 0 means DefaultBudget. The memory is
// taken as it is used.
func NewBudget(bytes int64) (*Budget, error) {
	if bytes == 0 {
		bytes = DefaultBudget
	}
	chunks := max(1, int(bytes/chunkSize))
	arena, err := newArena(chunks * chunkSize)
	if err != nil {
		return nil, fmt.Errorf("s3: memory for uploads, %d bytes: %w", bytes, err)
	}
	b := &Budget{arena: arena, total: chunks, writers: map[*writer]*account{}, warm: newWarmth()}
	for i := chunks - 1; i >= 0; i-- { // the first chunk is taken first, and memory touched in order
		b.free = append(b.free, arena[i*chunkSize:(i+1)*chunkSize:(i+1)*chunkSize])
	}
	return b, nil
}

// Close frees the memory, unless writers still use it. Nothing may be created afterwards.
func (b *Budget) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.cool(nil) {
	}
	if b.closed || len(b.free) < b.total {
		return nil
	}
	b.closed, b.free = true, nil
	return freeArena(b.arena)
}

// InUse returns how many bytes writers hold, and of how many.
func (b *Budget) InUse() (used, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.total-len(b.free)-b.lent-b.warm.chunks) * chunkSize, int64(b.total) * chunkSize
}

func (b *Budget) join(w *writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writers[w] = &account{}
}

// leave forgets a writer that holds nothing any more.
func (b *Budget) leave(w *writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.writers, w)
}

// acquire returns a chunk that no part holds yet; the writer gives it to attach or release. Errors:
// data.ErrFull when the writer was sealed, the context's.
func (b *Budget) acquire(ctx context.Context, w *writer) ([]byte, error) {
	b.reclaimLent()
	b.mu.Lock()
	acc := b.writers[w]
	if acc.sealed {
		b.mu.Unlock()
		return nil, data.ErrFull
	}
	if len(b.free) == 0 {
		b.cool(nil) // all that is warm is gone before anybody waits
	}
	if n := len(b.free); n > 0 && len(b.waiters) == 0 {
		chunk := b.free[n-1]
		b.free = b.free[:n-1]
		b.mu.Unlock()
		return chunk, nil
	}
	wait := &waiter{account: acc, chunk: make(chan []byte, 1)}
	acc.waiter = wait
	b.waiters = append(b.waiters, wait)
	victims := b.relieve()
	b.mu.Unlock()
	for _, v := range victims {
		v.seal()
	}

	select {
	case chunk := <-wait.chunk:
		if chunk == nil {
			return nil, data.ErrFull
		}
		return chunk, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	b.remove(wait)
	b.mu.Unlock()
	select {
	case chunk := <-wait.chunk: // given in the same moment
		if chunk != nil {
			b.giveBack(chunk)
		}
	default:
	}
	return nil, ctx.Err()
}

// relieve seals writers until as many chunks are on their way back as writers wait, and returns them.
func (b *Budget) relieve() (victims []*writer) {
	for b.returning < len(b.waiters) {
		var victim *writer
		var most *account
		for w, acc := range b.writers {
			if !acc.sealed && acc.holding > 0 && (most == nil || acc.holding > most.holding) {
				victim, most = w, acc
			}
		}
		if victim == nil {
			break
		}
		most.sealed = true
		b.returning += most.holding
		most.holding = 0
		if wait := most.waiter; wait != nil {
			b.remove(wait)
			wait.chunk <- nil
		}
		victims = append(victims, victim)
	}
	return victims
}

// remove takes a waiter out of the queue, if it is still there.
func (b *Budget) remove(wait *waiter) {
	if i := slices.Index(b.waiters, wait); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
		wait.account.waiter = nil
	}
}

// attach counts a chunk into the writer's unfinished part; false when the writer was sealed. The caller
// seals the victims, without holding a writer's lock: those who had to wait while the chunk belonged
// to no part may need them now.
func (b *Budget) attach(w *writer) (ok bool, victims []*writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	acc := b.writers[w]
	if acc.sealed {
		return false, nil
	}
	acc.holding++
	return true, b.relieve()
}

// detach counts the writer's unfinished part of n chunks as on its way back.
func (b *Budget) detach(w *writer, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if acc := b.writers[w]; acc.holding > 0 { // else it was sealed, and counted then
		acc.holding -= n
		b.returning += n
	}
}

// release takes back the chunks of a part that detach counted.
func (b *Budget) release(chunks [][]byte) {
	b.mu.Lock()
	b.returning -= len(chunks)
	b.mu.Unlock()
	b.giveBack(chunks...)
}

// giveBack serves those who wait, in their order, and keeps the rest.
func (b *Budget) giveBack(chunks ...[]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve(chunks)
}

// serve is giveBack; b.mu is held.
func (b *Budget) serve(chunks [][]byte) {
	for _, chunk := range chunks {
		if len(b.waiters) == 0 {
			b.free = append(b.free, chunk)
			continue
		}
		wait := b.waiters[0]
		b.remove(wait)
		wait.chunk <- chunk
	}
}
