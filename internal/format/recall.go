package format

import (
	"context"
	"sync"

	"holdfast/internal/record"
)

// Recall says what else than the store's answer of this moment reads may be given: something that was seen before, where a record store is one
// that remembers (package record/cached). It is said by the context of a Get, so that it passes through whatever stands between; a read whose
// context says nothing is given nothing else.
type Recall struct {
	kind recallKind

	mu     sync.Mutex
	key    record.Key    // of the fence that was looked at
	looked chan struct{} // closed once it was
	rec    record.Record
	err    error
}

type recallKind uint8

const (
	recallLink recallKind = iota
	recallLinks
	recallAnyAge
)

// RecallLink is for the read of one link, by who wants to know that it is there: one that was seen live is good when the fence of its repository
// is looked at within this read, and has not moved since before the link was seen.
func RecallLink(ctx context.Context) context.Context { return withRecall(ctx, recallLink) }

// RecallLinks is the same for reads of several links of a repository, by one request and at about one time: one look at the fence is for all of them.
func RecallLinks(ctx context.Context) context.Context { return withRecall(ctx, recallLinks) }

// RecallAnyAge is for the read of a fence by which a push begins: an older one is as good, only slower in what follows.
func RecallAnyAge(ctx context.Context) context.Context { return withRecall(ctx, recallAnyAge) }

type recallCtxKey struct{}

func withRecall(ctx context.Context, kind recallKind) context.Context {
	return context.WithValue(ctx, recallCtxKey{}, &Recall{kind: kind})
}

// RecallOf is what a reader allows; nil: nothing.
func RecallOf(ctx context.Context) *Recall {
	r, _ := ctx.Value(recallCtxKey{}).(*Recall)
	return r
}

// Links reports whether the reader allows links that were seen live, and whether it reads several.
func (r *Recall) Links() (allowed, several bool) {
	return r != nil && r.kind != recallAnyAge, r != nil && r.kind == recallLinks
}

// AnyAge reports whether the reader allows a fence of any age.
func (r *Recall) AnyAge() bool { return r != nil && r.kind == recallAnyAge }

// Look returns what look says of the fence with a key. It is called by the first of the reads that share r; the others wait for its answer. So the fence
// was looked at after the first of them began. Errors: those of look; that of ctx.
func (r *Recall) Look(ctx context.Context, key record.Key, look func() (record.Record, error)) (record.Record, error) {
	r.mu.Lock()
	first := r.looked == nil
	if first {
		r.key, r.looked = key, make(chan struct{})
	}
	r.mu.Unlock()
	switch {
	case key != r.key:
		return look()
	case first:
		r.rec, r.err = look()
		close(r.looked)
		return r.rec, r.err
	}
	select {
	case <-r.looked:
		return r.rec, r.err
	case <-ctx.Done():
		return record.Record{}, ctx.Err()
	}
}
