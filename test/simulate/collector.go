package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// The collector, part by part or as a whole, for writers to race with. It is a client like the others: its steps are store operations,
// and it may crash at each of them.

// collector is one of this replica, with a grace of its own.
func (e *Env) collector(grace time.Duration) *collect.Collector {
	ages := format.DefaultAges()
	ages.Grace = grace
	return collect.New(e.Registry, format.Store{Records: ahead{e.call.in.records, e.world.scenario.Ahead}, Ages: ages}, segments{e.call.in}, collect.Config{Removed: e.sawRemoved, MaxSegments: e.world.scenario.MaxSegments}, slog.New(slog.DiscardHandler))
}

// ahead are records to a collector that believes their clock to be ahead of what it is.
type ahead struct {
	record.Store
	by time.Duration
}

// Now implements record.Store.
func (a ahead) Now() time.Time { return a.Store.Now().Add(a.by) }

// sawRemoved notes what the collector says that it has removed.
func (e *Env) sawRemoved(kind collect.Kind, repo oci.Repository, d oci.Digest) {
	name := e.world.names.digest(d)
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	object := blobObject(repo, name)
	switch kind {
	case collect.KindManifests:
		object = manifestObject(repo, name)
	case collect.KindLinks:
	default:
		return
	}
	e.saw(fact{object: object, do: doCollected})
	e.world.removed[object] = true
	if slices.Contains(e.world.scenario.Stay, object) {
		e.world.breaks("%s was collected, and is needed", object)
	}
}

// isRemoved reports whether a collector has removed the object, which may not have returned yet.
func (w *world) isRemoved(object string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.removed[object]
}

// collecting is a call of a collector. When its outcome is unknown it may have removed anything that nobody needs.
func collecting(name string, replica int, do func(context.Context, *Env) error) Call {
	return Call{Name: name, Replica: replica, Do: func(e *Env) {
		err := do(e.Ctx, e)
		// Several are removed at once: in which order that is told means nothing.
		slices.SortStableFunc(e.call.facts, func(a, b fact) int { return strings.Compare(a.object, b.object) })
		e.world.mu.Lock()
		harmed := e.call.faults > 0 || e.call.in.dead // what fails for one thing alone is stepped over
		e.world.mu.Unlock()
		if err == nil && !harmed {
			return
		}
		e.judge(err)
		for _, repo := range e.world.scenario.Repositories {
			for _, m := range e.world.scenario.Manifests {
				e.saw(fact{object: manifestObject(repo, m.Name), do: doCollected, unknown: true})
			}
			for _, b := range e.world.scenario.Blobs {
				e.saw(fact{object: blobObject(repo, b), do: doCollected, unknown: true})
			}
		}
	}}
}

// CollectDigest collects a blob record that no link holds.
func CollectDigest(replica int, blob string) Call {
	return collecting("collect the record of "+blob, replica, func(ctx context.Context, e *Env) error {
		return e.collector(0).CollectDigest(ctx, blobDigest(blob))
	})
}

// CollectRepository collects what is useless of a repository, without any grace but that for young manifests.
func CollectRepository(replica int, repo oci.Repository, blobs ...string) Call {
	return CollectRepositoryAfter(replica, 0, repo, blobs...)
}

// CollectRepositoryAfter is CollectRepository with a grace.
func CollectRepositoryAfter(replica int, grace time.Duration, repo oci.Repository, blobs ...string) Call {
	return collecting(fmt.Sprintf("collect %s, and %v of it", repo, blobs), replica, func(ctx context.Context, e *Env) error {
		hinted := map[oci.Digest]bool{}
		for _, b := range blobs {
			hinted[blobDigest(b)] = true
		}
		return e.collector(grace).CollectRepository(ctx, repo, hinted)
	})
}

// CollectSessions collects the segments of uploads that were finished two hours ago and that their record does not name, or that nobody
// touched for a day.
func CollectSessions(replica int) Call {
	return collecting("collect the sessions", replica, func(ctx context.Context, e *Env) error { return e.collector(0).CollectSessions(ctx) })
}

// CollectOrphans deletes the segments that no record and no session names, once they are older than the age Orphan: let the time pass first.
func CollectOrphans(replica int) Call {
	return collecting("collect orphans", replica, func(ctx context.Context, e *Env) error { return e.collector(0).CollectOrphans(ctx) })
}

// Merge merges the segments of all blobs that are in more than the scenario's MaxSegments, and frees those that it merged a day ago.
func Merge(replica int) Call {
	return collecting("merge segments", replica, func(ctx context.Context, e *Env) error { return e.collector(0).CollectOrphans(ctx) })
}

// CollectAll makes a full pass.
func CollectAll(replica int) Call {
	return collecting("collect everything", replica, func(ctx context.Context, e *Env) error {
		_, err := e.collector(0).Pass(ctx, collect.Progress{Full: true}, nil)
		return err
	})
}

// Pass lets time pass: for everybody.
func Pass(replica int, d time.Duration) Call {
	return Call{Name: fmt.Sprintf("%s pass", d), Replica: replica, Do: func(e *Env) {
		if e.world.free {
			time.Sleep(d)
			return
		}
		_, _ = e.world.submit(e.Ctx, e.call.in, &op{verb: verbPass, key: d.String(), pass: d, do: func() (any, error) { return nil, nil }})
	}}
}

// PromisedPush asks for the blobs of a manifest, as clients do, and pushes the manifest: a replica that said that they are there has promised it.
func PromisedPush(replica int, repo oci.Repository, m *Manifest, tag oci.Tag) Call {
	push := PushManifest(replica, repo, m, tag)
	return Call{Name: "HEAD its blobs, and " + push.Name, Replica: replica, Do: func(e *Env) {
		for _, b := range m.Blobs {
			if _, err := e.Registry.StatBlob(e.Ctx, repo, blobDigest(b)); !e.sawRead(err, blobObject(repo, b), there) {
				return
			}
		}
		push.Do(e)
		for _, f := range e.call.facts {
			if f.do == doMissing {
				e.breaks("%s was there when asked for, and is not when its manifest comes", f.object)
			}
		}
	}}
}

// InCatalog looks for a repository in the catalog, in which a tag was set before.
func InCatalog(replica int, repo oci.Repository) Call {
	return Call{Name: "look for " + string(repo) + " in the catalog", Replica: replica, Do: func(e *Env) {
		page, err := e.Registry.Repositories(e.Ctx, "", 100)
		if e.judge(err) == ok && !slices.Contains(page.Names, repo) && e.world.stands(tagObject(repo, "t")) {
			e.breaks("%s is not in the catalog, though its tag was acknowledged", repo)
		}
	}}
}
