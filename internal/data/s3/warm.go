package s3

import (
	"container/list"
	"sync"
	"sync/atomic"

	"holdfast/internal/data"
	"holdfast/internal/data/shared"
)

const (
	// warmShare of the memory is what a warm segment has of it, at most: so several are warm, however small the budget.
	warmShare = 8
	// provenShare, in percent of the memory, is for segments that were read from memory before; the rest is for those that were read once, so that
	// who reads much of what nobody reads again takes it from others alike.
	provenShare = 75
)

// warmth is the part of a budget that holds segments which nobody reads just now, whole and verified, for those who read them next. It is what is left over:
// a writer, or a reader that is lent memory, takes from it before it waits or goes without. So while a writer waits, nothing is warm, and
// nothing becomes so. All of it is under Budget.mu.
//
// The first to go is what was read least lately, of what was read once; then of what was read from here.
type warmth struct {
	segments map[warmKey]*warmSegment
	once     *list.List // *warmSegment, the last read first; those that are being filled too
	proven   *list.List
	chunks   int // that all have
	provenBy int // of chunks: those of proven ones
}

// warmKey is a segment of a store: a budget serves several.
type warmKey struct {
	store *Store
	id    data.ID
}

// warmSegment is a segment in memory, or on its way there. It can be taken away at any time, from readers too, who read on from the store.
type warmSegment struct {
	key  warmKey
	size int64

	// Under Budget.mu.
	in     *list.List // nil: it is gone
	at     *list.Element
	chunks int
	kept   bool // its bytes are verified; before, nobody is given them

	mu     sync.RWMutex // held while bytes are copied; taken under Budget.mu, never the other way round
	object shared.Object
	proof  string
	pieces [][]byte // nil when it is gone
	filled int64
}

// WarmCounts are the reads for clients that memory could serve, since the start: of segments small enough. Safe for concurrent use.
type WarmCounts struct{ Hits, Misses atomic.Int64 }

func newWarmth() warmth {
	return warmth{segments: map[warmKey]*warmSegment{}, once: list.New(), proven: list.New()}
}

// Warm returns how many bytes of memory hold segments that writers and readers do not need just now.
func (b *Budget) Warm() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.warm.chunks) * chunkSize
}

// warmest is how large a segment may be.
func (b *Budget) warmest() int64 { return min(wholeBytes, int64(b.total/warmShare)*chunkSize) }

// findWarm returns a segment whose bytes may be read, and makes it one that goes later; nil when it is not there.
func (b *Budget) findWarm(key warmKey) *warmSegment {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.warm.segments[key]
	if w == nil || !w.kept {
		return nil
	}
	b.warm.move(w, b.warm.proven)
	for b.warm.provenBy*100 > b.total*provenShare {
		b.warm.move(b.warm.proven.Back().Value.(*warmSegment), b.warm.once)
	}
	return w
}

// move puts a segment at the front of a list.
func (h *warmth) move(w *warmSegment, to *list.List) {
	h.remove(w)
	w.in, w.at = to, to.PushFront(w)
	if to == h.proven {
		h.provenBy += w.chunks
	}
}

func (h *warmth) remove(w *warmSegment) {
	if w.in == h.proven {
		h.provenBy -= w.chunks
	}
	w.in.Remove(w.at)
	w.in, w.at = nil, nil
}

// beginWarm enters a segment that somebody is about to read; nil when somebody has done so, or it is too large. The caller ends it by keep or unlessKept. It is
// called before the store is asked, so that a segment which is deleted meanwhile is forgotten.
func (b *Budget) beginWarm(key warmKey, size int64) *warmSegment {
	b.mu.Lock()
	defer b.mu.Unlock()
	if size <= 0 || size > b.warmest() || b.closed || b.warm.segments[key] != nil {
		return nil
	}
	w := &warmSegment{key: key, size: size}
	b.warm.segments[key] = w
	w.in, w.at = b.warm.once, b.warm.once.PushFront(w)
	return w
}

// addWarm copies the segment's next bytes, and reports whether it is still there. It is dropped where there is no memory to be had for it.
func (b *Budget) addWarm(w *warmSegment, p []byte) bool {
	for len(p) > 0 {
		n, ok := w.copyIn(p)
		if p = p[n:]; !ok || n == 0 && !b.growWarm(w) {
			return false
		}
	}
	return true
}

// copyIn copies what the last piece can take; false when the segment is gone.
func (w *warmSegment) copyIn(p []byte) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := int(w.filled / chunkSize)
	if at == len(w.pieces) {
		return 0, w.filled == 0 || w.pieces != nil
	}
	n := copy(w.pieces[at][w.filled%chunkSize:], p)
	w.filled += int64(n)
	return n, true
}

// growWarm gives a segment another chunk: a free one, or one of a segment that was read less lately. When there is none, or when writers wait,
// the segment is dropped.
func (b *Budget) growWarm(w *warmSegment) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.in == nil {
		return false
	}
	for len(b.waiters) == 0 && len(b.free) == 0 && b.cool(w) {
	}
	if len(b.waiters) > 0 || len(b.free) == 0 {
		b.dropWarm(w)
		return false
	}
	piece := b.free[len(b.free)-1][:chunkSize] // writers cut theirs
	b.free = b.free[:len(b.free)-1]
	b.warm.chunks++
	w.chunks++
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pieces = append(w.pieces, piece)
	return true
}

// keep lets a segment be read by others, when all of it is there. Its bytes are known to be those of proof.
func (b *Budget) keep(w *warmSegment, object shared.Object, proof string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.in == nil || w.kept {
		return
	}
	w.mu.Lock()
	w.object, w.proof = object, proof
	whole := w.filled == w.size && object.Size == w.size
	w.mu.Unlock()
	if w.kept = whole; !whole {
		b.dropWarm(w)
	}
}

// unlessKept drops a segment that was not kept.
func (b *Budget) unlessKept(w *warmSegment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.kept {
		b.dropWarm(w)
	}
}

// forgetWarm drops a segment that was deleted, or is not to be trusted.
func (b *Budget) forgetWarm(key warmKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.warm.segments[key]; w != nil {
		b.dropWarm(w)
	}
}

// cool drops the segment that goes first, but not except, and reports whether there was one with memory; b.mu is held. What it frees goes to free: nobody waits
// while anything is warm.
func (b *Budget) cool(except *warmSegment) bool {
	for _, from := range []*list.List{b.warm.once, b.warm.proven} {
		for e := from.Back(); e != nil; e = e.Prev() {
			if w := e.Value.(*warmSegment); w != except && w.chunks > 0 {
				b.dropWarm(w)
				return true
			}
		}
	}
	return false
}

// dropWarm takes a segment's memory away; b.mu is held. It waits for those who copy some of it just now: microseconds.
func (b *Budget) dropWarm(w *warmSegment) {
	if w.in == nil {
		return
	}
	b.warm.remove(w)
	delete(b.warm.segments, w.key)
	b.warm.chunks -= w.chunks
	w.chunks = 0
	w.mu.Lock()
	pieces := w.pieces
	w.pieces, w.filled = nil, -1
	w.mu.Unlock()
	b.serve(pieces)
}

// read copies bytes from offset on; none when the segment is gone.
func (w *warmSegment) read(p []byte, offset int64) (n int) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for len(p) > n && w.pieces != nil && offset < w.size {
		piece := w.pieces[offset/chunkSize]
		m := copy(p[n:], piece[offset%chunkSize:min(chunkSize, w.size-offset+offset%chunkSize)])
		n += m
		offset += int64(m)
	}
	return n
}
