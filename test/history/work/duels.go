package work

import (
	"context"
	"time"
)

// duel is what two clients do at the same moment to things of their own: what a push and a delete race for takes
// milliseconds, so that chance alone would seldom bring them together.
type duel struct {
	first, second func(*worker, context.Context)
	look          func(*worker, context.Context) // by both, afterwards
}

// patience is how long a client waits for another to meet.
const patience = 300 * time.Millisecond

// offer prepares a duel and waits for somebody to take it.
func (w *worker) offer(ctx context.Context) {
	kinds := []func(*worker, context.Context) *duel{
		(*worker).pushAgainstBlob, (*worker).pushAgainstBlob, (*worker).pushAgainstDelete, (*worker).pushAgainstDelete, (*worker).referAgainstDelete,
		(*worker).indexAgainstChild, (*worker).readAgainstMove, (*worker).twiceTheSame,
	}
	d := pick(w.client, kinds)(w, ctx)
	if d == nil {
		return
	}
	select {
	case w.world.duels <- d:
		w.fight(ctx, d.first, d.look)
	case <-time.After(patience):
	case <-ctx.Done():
	}
}

// accept takes a duel that somebody offers, if there is one.
func (w *worker) accept(ctx context.Context) bool {
	select {
	case d := <-w.world.duels:
		w.fight(ctx, d.second, d.look)
		return true
	default:
		return false
	}
}

// fight does a side's part a little later than the other's, or the other way round.
func (w *worker) fight(ctx context.Context, do, look func(*worker, context.Context)) {
	spread := time.Millisecond << w.random.IntN(6)
	select {
	case <-ctx.Done():
		return
	case <-time.After(time.Duration(w.random.Int64N(int64(spread)))):
	}
	do(w, ctx)
	look(w, ctx)
}

// own makes an image with a layer that nobody else has, and pushes its blobs.
func (w *worker) own(ctx context.Context, repo string, p parts) *image {
	p.name, p.config = w.name("image of a duel"), w.world.config
	layer := newBlob(w.name("layer of a duel"), 100+w.random.IntN(400))
	p.layers = append([]*blob{layer}, p.layers...)
	if !w.pushBlobs(ctx, repo, []*blob{p.config, layer}) {
		return nil
	}
	return newImage(p)
}

// fill makes sure that a repository has the fillers: nobody deletes them.
func (w *worker) fill(ctx context.Context, repo string) bool {
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	for _, b := range w.world.fillers {
		at := thing{repo, b.digest.String()}
		if !w.world.filled[at] && !w.upload(ctx, repo, b) {
			return false
		}
		w.world.filled[at] = true
	}
	return true
}

// pushAgainstBlob: a manifest is pushed while one of its blobs is deleted. Often it has many other blobs and gets many tags, which
// gives the delete more time between the push's steps.
func (w *worker) pushAgainstBlob(ctx context.Context) *duel {
	repo, tag := pick(w.client, w.world.racy), pick(w.client, w.world.tags)
	p, long := parts{}, w.chance(60)
	if long && !w.fill(ctx, repo) {
		return nil
	}
	if long {
		p.layers = w.world.fillers
	}
	i := w.own(ctx, repo, p)
	if i == nil {
		return nil
	}
	layer := i.blobs[1]
	return &duel{
		first: func(w *worker, ctx context.Context) {
			if long {
				w.putManifest(ctx, repo, i.digest, i, w.world.tags...)
			} else {
				w.putManifest(ctx, repo, tag, i)
			}
		},
		second: func(w *worker, ctx context.Context) { w.deleteBlob(ctx, repo, layer) },
		look: func(w *worker, ctx context.Context) {
			w.headManifest(ctx, repo, i.digest)
			w.headBlob(ctx, repo, layer)
			w.headManifest(ctx, repo, tag)
			w.deleteManifest(ctx, repo, i.digest)
		},
	}
}

// pushAgainstDelete: a manifest that is there is pushed under a tag while it is deleted.
func (w *worker) pushAgainstDelete(ctx context.Context) *duel {
	repo, tag := pick(w.client, w.world.racy), pick(w.client, w.world.tags)
	i := w.own(ctx, repo, parts{})
	if i == nil || w.chance(80) && !w.putManifest(ctx, repo, i.digest, i) {
		return nil
	}
	return &duel{
		first: func(w *worker, ctx context.Context) {
			w.putManifest(ctx, repo, tag, i)
			w.headManifest(ctx, repo, tag)
		},
		second: func(w *worker, ctx context.Context) {
			w.deleteManifest(ctx, repo, i.digest)
			w.headManifest(ctx, repo, tag)
		},
		look: func(w *worker, ctx context.Context) {
			w.headManifest(ctx, repo, i.digest)
			w.headManifest(ctx, repo, tag)
		},
	}
}

// referAgainstDelete: what refers to a subject is pushed while it is deleted, perhaps not for the first time.
func (w *worker) referAgainstDelete(ctx context.Context) *duel {
	repo, subject := pick(w.client, w.world.busy), pick(w.client, w.world.bases)
	d := subject.descriptor()
	i := w.own(ctx, repo, parts{subject: &d, kind: artifactTypes[0]})
	if i == nil || w.chance(60) && !w.putManifest(ctx, repo, i.digest, i) {
		return nil
	}
	return &duel{
		first:  func(w *worker, ctx context.Context) { w.putManifest(ctx, repo, i.digest, i) },
		second: func(w *worker, ctx context.Context) { w.deleteManifest(ctx, repo, i.digest) },
		look: func(w *worker, ctx context.Context) {
			w.headManifest(ctx, repo, i.digest)
			w.listReferrers(ctx, repo, subject)
		},
	}
}

// indexAgainstChild: an index is pushed while a manifest of it is deleted, and then its blob.
func (w *worker) indexAgainstChild(ctx context.Context) *duel {
	repo := pick(w.client, w.world.racy)
	i := w.own(ctx, repo, parts{})
	if i == nil || !w.putManifest(ctx, repo, i.digest, i) {
		return nil
	}
	x := newIndex(w.name("index of a duel"), i)
	return &duel{
		first: func(w *worker, ctx context.Context) { w.putManifest(ctx, repo, x.digest, x) },
		second: func(w *worker, ctx context.Context) {
			w.deleteManifest(ctx, repo, i.digest)
			w.deleteBlob(ctx, repo, i.blobs[1])
		},
		look: func(w *worker, ctx context.Context) {
			w.headManifest(ctx, repo, i.digest)
			w.deleteManifest(ctx, repo, x.digest)
		},
	}
}

// readAgainstMove: a tag of a large manifest is read while it moves to another and the first is deleted.
func (w *worker) readAgainstMove(ctx context.Context) *duel {
	repo, tag := pick(w.client, w.world.racy), w.world.tags[7]
	from, to := w.own(ctx, repo, parts{padding: 300_000}), w.own(ctx, repo, parts{padding: 300_000})
	if from == nil || to == nil || !w.putManifest(ctx, repo, tag, from) {
		return nil
	}
	return &duel{
		first: func(w *worker, ctx context.Context) {
			w.putManifest(ctx, repo, tag, to)
			w.deleteManifest(ctx, repo, from.digest)
		},
		second: func(w *worker, ctx context.Context) {
			for range 6 {
				w.headManifest(ctx, repo, tag)
			}
		},
		look: func(w *worker, ctx context.Context) { w.headManifest(ctx, repo, tag) },
	}
}

// twiceTheSame: one blob comes to a repository twice at once, or from another one.
func (w *worker) twiceTheSame(ctx context.Context) *duel {
	repo, other := pick(w.client, w.world.busy), pick(w.client, w.world.racy)
	b := newBlob(w.name("blob of a duel"), 100+w.random.IntN(3000))
	if w.chance(50) && !w.upload(ctx, other, b) {
		return nil
	}
	return &duel{
		first: func(w *worker, ctx context.Context) { w.upload(ctx, repo, b) },
		second: func(w *worker, ctx context.Context) {
			if !w.mount(ctx, repo, other, b) {
				w.upload(ctx, repo, b)
			}
			w.deleteBlob(ctx, other, b)
		},
		look: func(w *worker, ctx context.Context) { w.getBlob(ctx, repo, b.digest.String(), b.size()) },
	}
}
