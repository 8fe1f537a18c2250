package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/s3"
)

const (
	maxParts  = 5_000
	inFlight  = 4 // parts of one writer that are uploaded at once
	abortTime = 5 * time.Second
)

var errEnded = errors.New("the segment has ended")

// writer is a segment on its way in. Bytes gather in chunks of the budget; a part that is full, and is
// not the whole segment, goes out in the background. Write is called by one goroutine at a time;
// seal and the uploads run beside it.
type writer struct {
	store *Store
	id    data.ID
	key   string

	ctx     context.Context // Create's, which rules the writer
	cancel  context.CancelFunc
	slots   chan struct{} // one for each part that is uploaded
	uploads sync.WaitGroup
	begin   sync.Mutex // one CreateUpload

	mu       sync.Mutex
	chunks   [][]byte // the unfinished part, each cut to what it holds
	filled   int64    // its bytes
	size     int64    // bytes of the segment
	parts    []s3.Part
	uploadID string
	sealed   bool // full, or the budget took the rest
	ended    bool
	err      error // the first failure of an upload
}

func newWriter(ctx context.Context, s *Store, id data.ID, key string) *writer {
	w := &writer{store: s, id: id, key: key, slots: make(chan struct{}, inFlight)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	s.budget.join(w)
	return w
}

// need is what Write must get before it can go on.
type need int

const (
	needNothing need = iota
	needChunk
	needSlot
)

// Write implements data.Writer. It waits for memory where the budget is spent, and for a part where four are
// under way: the client waits with it. ErrFull comes after 5,000 parts, or when the budget took
// the segment's memory.
func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		m, need, err := w.fill(p)
		n, p = n+m, p[m:]
		if err == nil && len(p) > 0 {
			switch need {
			case needChunk:
				m, err = w.grow(p)
				n, p = n+m, p[m:]
			case needSlot:
				err = w.flush()
			}
		}
		switch {
		case errors.Is(err, data.ErrFull):
			return n, data.ErrFull
		case err != nil:
			return n, fmt.Errorf("s3: write segment %s: %w", w.id, err)
		}
	}
	return n, nil
}

// fill copies what the last chunk can take.
func (w *writer) fill(p []byte) (int, need, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return 0, needNothing, err
	}
	if w.filled == w.store.client.PartSize() {
		if len(w.parts) == w.store.maxParts-1 {
			w.sealed = true
			return 0, needNothing, data.ErrFull
		}
		return 0, needSlot, nil
	}
	return w.copy(p), needChunk, nil
}

// usable returns why nothing more can be written.
func (w *writer) usable() error {
	switch {
	case w.ended:
		return errEnded
	case w.err != nil:
		return w.err
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case w.sealed:
		return data.ErrFull
	}
	return nil
}

// copy adds to the last chunk.
func (w *writer) copy(p []byte) int {
	if len(w.chunks) == 0 {
		return 0
	}
	last := &w.chunks[len(w.chunks)-1]
	room := min(int64(cap(*last)-len(*last)), w.store.client.PartSize()-w.filled)
	m := int(min(int64(len(p)), room))
	*last = append(*last, p[:m]...)
	w.filled += int64(m)
	w.size += int64(m)
	return m
}

// grow adds a chunk and copies into it.
func (w *writer) grow(p []byte) (int, error) {
	c, err := w.store.budget.acquire(w.ctx, w)
	if err != nil {
		return 0, err
	}
	n, victims, err := w.attach(c, p)
	for _, v := range victims {
		v.seal()
	}
	return n, err
}

func (w *writer) attach(c, p []byte) (n int, victims []*writer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.usable()
	if err == nil {
		var ok bool
		if ok, victims = w.store.budget.attach(w); !ok {
			err = data.ErrFull
		}
	}
	if err != nil {
		w.store.budget.giveBack(c)
		return 0, nil, err
	}
	w.chunks = append(w.chunks, c[:0])
	return w.copy(p), victims, nil
}

// flush starts the upload of a full part, when fewer than four are under way.
func (w *writer) flush() error {
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		<-w.slots
		return err
	}
	w.start(true)
	return nil
}

// seal ends the segment with what it has; the budget calls it.
func (w *writer) seal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.sealed = true
	if len(w.chunks) > 0 {
		w.start(false)
	}
}

// start uploads the unfinished part in the background; w.mu is held.
func (w *writer) start(slotTaken bool) {
	chunks, size := w.chunks, w.filled
	w.chunks, w.filled = nil, 0
	w.parts = append(w.parts, s3.Part{})
	number := int32(len(w.parts)) //nolint:gosec // G115: at most maxParts
	w.store.budget.detach(w, len(chunks))
	w.uploads.Go(func() {
		defer w.store.budget.release(chunks)
		if !slotTaken {
			w.slots <- struct{}{} // those before it end by themselves
		}
		defer func() { <-w.slots }()
		part, err := w.upload(number, chunks, size)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			if w.err == nil {
				w.err = err
			}
			return
		}
		w.parts[number-1] = part
	})
}

func (w *writer) upload(number int32, chunks [][]byte, size int64) (s3.Part, error) {
	if err := w.failed(); err != nil {
		return s3.Part{}, err
	}
	id, err := w.beginUpload()
	if err != nil {
		return s3.Part{}, wrap(err)
	}
	part, err := w.store.client.UploadPart(w.ctx, w.key, id, number, chunks, size)
	if err != nil {
		return s3.Part{}, wrap(err)
	}
	return part, nil
}

func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// beginUpload creates the multipart upload at its first part.
func (w *writer) beginUpload() (string, error) {
	w.begin.Lock()
	defer w.begin.Unlock()
	w.mu.Lock()
	id, err := w.uploadID, w.err
	w.mu.Unlock()
	if id != "" || err != nil {
		return id, err
	}
	id, err = w.store.client.CreateUpload(w.ctx, w.key)
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uploadID = id
	return id, nil
}
