package registry

import (
	"context"
	"sync/atomic"

	"holdfast/internal/oci"
)

// A small blob that a replica has served lately is opened while its link is read, so that it takes one round trip. The link alone decides what
// the client gets: without it the bytes are dropped unread, and when it names other segments those are opened.
const (
	earlyBytes       = 8 << 20 // a blob that is larger takes its time anyway
	rememberedPlaces = 16384
)

type expectWhole struct{}

// ExpectWhole returns a context under which Blob may begin to read all of the blob at once. It is for a caller who is about to open all
// of it; who does not has the store read for nothing.
func ExpectWhole(ctx context.Context) context.Context {
	return context.WithValue(ctx, expectWhole{}, true)
}

// early is a blob that is opened before anybody knows whether the caller may have it.
type early struct {
	segments []segment
	opened   chan opened // one
	cancel   context.CancelFunc
	taken    atomic.Bool
	forget   func() bool
}

type opened struct {
	r   *segmentReader
	err error
}

// openEarly begins to open a blob, where that is of use; nil where it is not.
func (l *Local) openEarly(ctx context.Context, d oci.Digest) *early {
	if l.places == nil || ctx.Value(expectWhole{}) == nil {
		return nil
	}
	segments, known := l.places.Find(d)
	if !known || l.urls(ctx, segments[0].Size) { // a client that is redirected reads nothing here
		return nil
	}
	e := &early{segments: segments, opened: make(chan opened, 1)}
	var inner context.Context
	inner, e.cancel = context.WithCancel(ctx)
	e.forget = context.AfterFunc(ctx, func() { e.end() }) // nobody came for it; it may run before forget is there
	l.after.Go(func() {
		r, err := openSegments(inner, l.pulls, segments, 0, segments[0].Size)
		if err != nil {
			e.opened <- opened{err: err}
			return
		}
		e.opened <- opened{r: r}
	})
	return e
}

// drop ends the reading, unless somebody took it. It waits for nothing: who may not have the blob learns nothing by its time.
func (e *early) drop() {
	if e != nil && e.end() {
		e.forget()
	}
}

// end is drop, and reports whether it was the first to end it.
func (e *early) end() bool {
	if !e.taken.CompareAndSwap(false, true) {
		return false
	}
	e.cancel()
	go func() {
		if o := <-e.opened; o.r != nil {
			_ = o.r.Close() // nothing was read
		}
	}()
	return true
}

// take returns the reader, whose context is that of Blob; nil when the blob is in other segments, or could not be opened: then it is opened as ever.
func (e *early) take(segments []segment) *segmentReader {
	if e == nil {
		return nil
	}
	if !sameSegments(e.segments, segments) {
		e.drop()
		return nil
	}
	if !e.taken.CompareAndSwap(false, true) {
		return nil
	}
	e.forget()
	o := <-e.opened // the context that rules it is the caller's
	return o.r
}

// served remembers where a blob is that was opened.
func (l *Local) served(d oci.Digest, segments []segment) {
	if l.places != nil && len(segments) == 1 && segments[0].Size <= earlyBytes {
		l.places.Add(d, segments)
	}
}
