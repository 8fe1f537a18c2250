package format

import "context"

// Recall says what else than the store's answer of this moment a read may be given: something that was seen before, where a record store is one
// that remembers (package record/cached). The zero value is nothing else, which is what every read asks for that says nothing. It is said by the context
// of the Get, so that it passes through whatever stands between.
type Recall struct {
	kind  recallKind
	epoch uint64
}

type recallKind uint8

const (
	recallNothing recallKind = iota
	recallFenced
	recallUnder
	recallAnyAge
)

// Fenced reports a reader who wants a link as it is: one that was seen live is good when the fence of its repository is read within this read,
// and has not moved since before the link was seen.
func (r Recall) Fenced() bool { return r.kind == recallFenced }

// Under returns the epoch of a reader who reads the repository's fence afterwards, and reads the link once more when that is not at this epoch: a
// link that was seen live while the fence was there is good without a request.
func (r Recall) Under() (epoch uint64, ok bool) { return r.epoch, r.kind == recallUnder }

// AnyAge reports a reader to whom an older value is as good, only slower in what follows: of a fence that a push begins with.
func (r Recall) AnyAge() bool { return r.kind == recallAnyAge }

type recallCtxKey struct{}

// RecallFenced is for reads of links: see Recall.Fenced.
func RecallFenced(ctx context.Context) context.Context {
	return context.WithValue(ctx, recallCtxKey{}, Recall{kind: recallFenced})
}

// RecallUnder is for reads of links: see Recall.Under.
func RecallUnder(ctx context.Context, epoch uint64) context.Context {
	return context.WithValue(ctx, recallCtxKey{}, Recall{kind: recallUnder, epoch: epoch})
}

// RecallAnyAge is for reads of fences: see Recall.AnyAge.
func RecallAnyAge(ctx context.Context) context.Context {
	return context.WithValue(ctx, recallCtxKey{}, Recall{kind: recallAnyAge})
}

// RecallOf is what a reader allows.
func RecallOf(ctx context.Context) Recall {
	r, _ := ctx.Value(recallCtxKey{}).(Recall)
	return r
}
