package s3

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// watch ends a request that makes no progress. Its context is the request's.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	kept   bool // the request's body outlives the call and owns the watch

	answered bool        // the answer has begun
	hedged   atomic.Bool // a second request was sent beside the first
}

func newWatch(ctx context.Context, within time.Duration) *watch {
	w := &watch{}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(within, func() { w.cancel(errTimeout) })
	return w
}

// expect asks for the next progress within d from now.
func (w *watch) expect(d time.Duration) { w.timer.Reset(d) }

// child returns a context of one of several requests, and what ends it; the watch ends it in any case.
func (w *watch) child() (context.Context, context.CancelFunc) { return context.WithCancel(w.ctx) }

// began notes that the store has answered, if err is nil.
func (w *watch) began(err error) { w.answered = w.answered || err == nil }

// requests is how many were sent so far.
func (w *watch) requests() int {
	if w.hedged.Load() {
		return 2
	}
	return 1
}

// pause stops waiting until the next expect.
func (w *watch) pause() { w.timer.Stop() }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// timedOut reports whether the request ended for want of progress.
func (w *watch) timedOut() bool { return errors.Is(context.Cause(w.ctx), errTimeout) }

// payload is a request's body over chunks that stay the caller's. After detach nothing reads them any
// more, although the transport may still hold the payload.
type payload struct {
	watch *watch
	stall time.Duration // longest pause of the transport between two reads; 0: the watch goes on as it began
	after time.Duration // longest wait for the answer after the last byte

	mu     sync.Mutex
	chunks [][]byte
	size   int64
	offset int64
	chunk  int // the chunk that holds offset
	within int // its offset in that chunk
}

// newPayload is the body of an attempt of o.
func newPayload(o op, w *watch, chunks [][]byte, size int64) *payload {
	p := &payload{watch: w, chunks: chunks, size: size}
	if o.progress {
		p.stall, p.after = stallTime, stallTime+transferTime(size)
	}
	return p
}

var errDetached = errors.New("the request has ended")

func (p *payload) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chunks == nil && p.size > 0 {
		if p.offset == p.size {
			return 0, io.EOF // an error here would cost the connection: net/http looks for the end when the answer may be there already
		}
		return 0, errDetached
	}
	n := 0
	for n < len(b) && p.offset < p.size {
		c := p.chunks[p.chunk][p.within:]
		m := copy(b[n:], c)
		n, p.within, p.offset = n+m, p.within+m, p.offset+int64(m)
		if m == len(c) {
			p.chunk, p.within = p.chunk+1, 0
		}
	}
	if p.offset < p.size {
		p.expect(p.stall)
		return n, nil
	}
	p.expect(p.after)
	if n > 0 || len(b) == 0 {
		return n, nil
	}
	return 0, io.EOF
}

func (p *payload) expect(d time.Duration) {
	if p.stall > 0 {
		p.watch.expect(d)
	}
}

func (p *payload) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks = nil
}
