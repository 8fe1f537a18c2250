package load

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
)

// step is something that a client does between two pauses.
type step struct {
	name   string
	weight int
	do     func(*worker, context.Context)
}

func (w *worker) chooseSteps() {
	for _, s := range w.allSteps() {
		if !slices.Contains(w.opt.Without, s.name) {
			w.steps = append(w.steps, s)
			w.total += s.weight
		}
	}
}

func (w *worker) allSteps() []step {
	if w.opt.Churn {
		return churn()
	}
	return []step{
		{"push", 25, (*worker).pushImage},
		{"share", 5, (*worker).pushShared},
		{"pull", 28, (*worker).pullImage},
		{"look", 14, (*worker).look},
		{"move", 9, (*worker).moveTag},
		{"list", 7, func(w *worker, ctx context.Context) { w.listTags(ctx, w.repo(), 1+w.random.IntN(20)) }},
		{"mount", 5, (*worker).mountLayer},
		{"untag", 3, (*worker).deleteTag},
		{"remove", 2, (*worker).removeImage},
		{"drop", 2, (*worker).dropBlob},
	}
}

func (w *worker) next() func(*worker, context.Context) {
	n := w.random.IntN(w.total)
	for _, s := range w.steps {
		if n -= s.weight; n < 0 {
			return s.do
		}
	}
	panic("load: weights do not add up") // a bug
}

// ownTags are few, so that they move; some are the beginnings of others.
func (w *worker) ownTag() string {
	names := []string{"0.1.2", "0.1.20", "0.1.2-rc1", "a", "a.b", "a_b"}
	return fmt.Sprintf("c%d-%s", w.id, names[w.random.IntN(len(names))])
}

// layerSize: most are small, some are larger than a part of a multipart upload.
func (w *worker) layerSize() int64 {
	switch n := w.random.IntN(100); {
	case n < 80:
		return 2 + w.random.Int64N(64<<10)
	case n < 95:
		return 2 + w.random.Int64N(512<<10)
	default:
		return 2 + w.random.Int64N(w.opt.Large)
	}
}

// config is the same for all clients: what everybody pushes at once.
func (w *worker) config() content {
	if w.opt.Churn {
		return w.common("config", 200)
	}
	return newContent(fmt.Sprintf("config of seed %d, %s", w.opt.Seed, w.opt.Prefix), 200)
}

// layer is one of a few that all clients push, or one of its own.
func (w *worker) layer() content {
	if w.opt.Churn && w.random.IntN(2) == 0 {
		return w.common("layer", 20_000)
	}
	if w.random.IntN(4) == 0 {
		return newContent(fmt.Sprintf("common layer %d of seed %d, %s", w.random.IntN(16), w.opt.Seed, w.opt.Prefix), 20_000)
	}
	return newContent(w.name("layer"), w.layerSize())
}

// pushBlobs does what a client does before a manifest: ask, and push what is not there.
func (w *worker) pushBlobs(ctx context.Context, repo string, blobs ...content) bool {
	for _, b := range blobs {
		if !w.has(ctx, repo, b.digest) && !w.push(ctx, repo, b) {
			return false
		}
	}
	return true
}

func (w *worker) pushImage(ctx context.Context) {
	repo, tag := w.repo(), w.ownTag()
	config, l := w.config(), w.layer()
	i := w.newImage(config, l)
	if !w.pushBlobs(ctx, repo, config, l) || !w.putManifest(ctx, repo, tag, i) {
		return
	}
	w.images[repo] = append(w.images[repo], i)
	w.tagged(repo, tag)
}

func (w *worker) tagged(repo, tag string) {
	if !slices.Contains(w.tags[repo], tag) {
		w.tags[repo] = append(w.tags[repo], tag)
	}
}

// pushShared sets a tag that everybody sets. What it held is never deleted.
func (w *worker) pushShared(ctx context.Context) {
	repo, config, l := w.repo(), w.config(), w.layer()
	i := w.newImage(config, l)
	i.keep = true
	if w.pushBlobs(ctx, repo, config, l) && w.putManifest(ctx, repo, fmt.Sprintf("shared-%d", w.random.IntN(2)), i) {
		w.images[repo] = append(w.images[repo], i)
	}
}

func (w *worker) pullImage(ctx context.Context) {
	repo := w.repo()
	ref := fmt.Sprintf("shared-%d", w.random.IntN(2))
	if tags := w.tags[repo]; len(tags) > 0 && w.random.IntN(4) > 0 {
		ref = tags[w.random.IntN(len(tags))]
	}
	w.pullAll(ctx, repo, ref)
}

// pullAll reads a manifest and all that it names.
func (w *worker) pullAll(ctx context.Context, repo, ref string) {
	m, ok := w.getManifest(ctx, repo, ref)
	if !ok {
		return
	}
	for _, child := range m.Manifests {
		w.pullAll(ctx, repo, string(child.Digest))
	}
	for _, d := range append(m.Layers, m.Config) {
		if d.Digest != "" {
			w.pull(ctx, repo, d.Digest)
		}
	}
}

// look asks for what is known to be there: HEAD and a part of a layer, or a manifest by digest.
func (w *worker) look(ctx context.Context) {
	if repo := w.repo(); len(w.images[repo]) > 0 && w.random.IntN(3) == 0 {
		w.getManifest(ctx, repo, w.images[repo][w.random.IntN(len(w.images[repo]))].digest)
		return
	}
	if len(w.layers) == 0 {
		return
	}
	l := w.layers[w.random.IntN(len(w.layers))]
	if w.has(ctx, l.repo, l.digest) {
		w.pullPart(ctx, l)
	}
}

func (w *worker) moveTag(ctx context.Context) {
	repo := w.repo()
	if images := w.images[repo]; len(images) > 0 {
		tag := w.ownTag()
		if w.putManifest(ctx, repo, tag, images[w.random.IntN(len(images))]) {
			w.tagged(repo, tag)
		}
	}
}

func (w *worker) mountLayer(ctx context.Context) {
	if len(w.layers) == 0 {
		return
	}
	l, repo := w.layers[w.random.IntN(len(w.layers))], w.repo()
	if repo != l.repo && w.mount(ctx, l, repo) {
		w.pull(ctx, repo, l.digest)
	}
}

func (w *worker) deleteTag(ctx context.Context) {
	repo := w.repo()
	if tags := w.tags[repo]; len(tags) > 0 {
		n := w.random.IntN(len(tags))
		tag := tags[n]
		w.tags[repo] = slices.Delete(tags, n, n+1)
		w.deleteManifest(ctx, TagDelete, repo, tag)
		w.getManifest(ctx, repo, tag)
	}
}

// removeImage deletes a manifest, and with it the tags that hold it.
func (w *worker) removeImage(ctx context.Context) {
	repo := w.repo()
	images := w.images[repo]
	n := slices.IndexFunc(images, func(i image) bool { return !i.keep })
	if n < 0 {
		return
	}
	i := images[n]
	w.images[repo] = slices.Delete(images, n, n+1)
	w.left(repo, i)
	w.deleteManifest(ctx, ManifestDelete, repo, i.digest)
	w.getManifest(ctx, repo, i.digest)
}

// dropBlob pushes a blob that no manifest names and deletes it.
func (w *worker) dropBlob(ctx context.Context) {
	repo, b := w.repo(), newContent(w.name("loose blob"), w.layerSize())
	if !w.push(ctx, repo, b) {
		return
	}
	w.layers = w.layers[:len(w.layers)-1]
	w.deleteBlob(ctx, layer{repo, b})
	w.has(ctx, repo, b.digest)
}

// PushLarge pushes one blob of size bytes, as a client that pushes nothing else, and reports whether it
// was acknowledged. Calls with numbers above the clients' tell it apart.
func PushLarge(ctx context.Context, l *Load, opt Options, id int, size int64) (digest.Digest, bool) {
	w := newWorker(l, id, defaults(opt))
	defer w.http.CloseIdleConnections()
	b := newContent(w.name("large layer"), size)
	return b.digest, w.push(ctx, w.repos[0], b)
}
