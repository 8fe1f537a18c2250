package work

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"holdfast/test/history/call"
)

// thing is something that a call named.
type thing struct{ repo, ref string }

// ReadBack reads everything that was ever named, at each of targets alone, and records it as final calls. Call it
// after Stop, when nothing is broken any more.
func (w *Work) ReadBack(ctx context.Context, targets []Target) {
	manifests, blobs := map[thing]bool{}, map[thing]int64{}
	for _, c := range w.Log.Calls() {
		switch c.Op {
		case call.ManifestPut:
			manifests[thing{c.Repo, c.Digest}] = true
		case call.Commit, call.Push, call.Mount:
			blobs[thing{c.Repo, c.Ref}] = c.Size
		}
	}
	repos := slices.Concat(w.world.busy, w.world.racy, w.world.late)
	for _, repo := range repos {
		for _, tag := range w.world.tags {
			manifests[thing{repo, tag}] = true
		}
	}
	var group sync.WaitGroup
	for n, to := range targets {
		final := func(part int) *worker {
			cl := newClient(w.Log, 1000*(n+1)+part, w.opt.Seed)
			cl.final = true
			return &worker{client: cl, world: w.world, targets: []Target{to}}
		}
		things := sorted(manifests)
		const parts = 2
		for part := range parts {
			group.Go(func() {
				r := final(part)
				defer r.http.CloseIdleConnections()
				for i := part; i < len(things); i += parts {
					t := things[i]
					r.untilAnswered(ctx, func() {
						if (&call.Call{Ref: t.ref}).ByDigest() {
							r.headManifest(ctx, t.repo, t.ref)
						} else {
							r.getManifest(ctx, t.repo, t.ref)
						}
					})
				}
			})
		}
		group.Go(func() {
			r := final(parts)
			defer r.http.CloseIdleConnections()
			for _, t := range sorted(blobs) {
				r.untilAnswered(ctx, func() { r.getBlob(ctx, t.repo, t.ref, blobs[t]) })
			}
			for _, repo := range repos {
				r.untilAnswered(ctx, func() { r.listTags(ctx, repo) })
			}
			r.untilAnswered(ctx, func() { r.listCatalog(ctx) })
			for _, repo := range w.world.busy {
				for _, subject := range w.world.bases {
					r.untilAnswered(ctx, func() { r.listReferrers(ctx, repo, subject) })
				}
			}
		})
	}
	group.Wait()
}

// untilAnswered makes a read, and makes it again while it is not answered, a few times. Each is a call.
func (w *worker) untilAnswered(ctx context.Context, read func()) {
	for range 6 {
		if read(); !w.failed || ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func sorted[V any](things map[thing]V) []thing {
	all := make([]thing, 0, len(things))
	for t := range things {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b thing) int { return cmp.Or(cmp.Compare(a.repo, b.repo), cmp.Compare(a.ref, b.ref)) })
	return all
}
