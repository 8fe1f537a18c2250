package work

import (
	"context"
	"fmt"
	"slices"
)

// flow is something that a client does between two pauses.
type flow struct {
	weight int
	do     func(*worker, context.Context)
}

func allFlows() []flow {
	return []flow{
		{20, (*worker).pushImage},
		{8, (*worker).pushReferrer},
		{9, (*worker).moveTag},
		{20, (*worker).pull},
		{8, (*worker).look},
		{10, (*worker).lists},
		{4, (*worker).mountLayer},
		{4, (*worker).deleteTag},
		{5, (*worker).deleteImage},
		{4, (*worker).uploadByMany},
		{14, (*worker).raceForImage},
		{8, (*worker).raceForBlob},
		{16, (*worker).offer},
	}
}

func tagFlows() []flow {
	return []flow{{40, (*worker).pushImage}, {40, (*worker).pull}, {10, (*worker).lists}}
}

// pushImage pushes an image of its own under a tag that everybody sets.
func (w *worker) pushImage(ctx context.Context) {
	repo := pick(w.client, w.world.busy)
	if w.chance(1) {
		repo = pick(w.client, w.world.late)
	}
	p := parts{name: w.name("image"), config: w.world.config, layers: []*blob{pick(w.client, w.world.layers)}}
	if w.chance(30) {
		p.layers = append(p.layers, newBlob(w.name("layer"), 100+w.random.IntN(20_000)))
	}
	if w.chance(3) {
		p.padding = 300_000 // more than a tag's record carries
	}
	i := newImage(p)
	if !w.pushBlobs(ctx, repo, i.blobs) {
		return
	}
	tag := pick(w.client, w.world.tags)
	if !w.putManifest(ctx, repo, tag, i) {
		return
	}
	if l := w.world.recent[repo]; l != nil {
		l.add(i)
	}
	if w.chance(30) { // seen at once, everywhere
		w.getManifest(ctx, repo, tag)
	}
}

// pushBlobs does what a client does before a manifest: ask for each blob, sometimes, and push what is not there.
func (w *worker) pushBlobs(ctx context.Context, repo string, blobs []*blob) bool {
	for _, b := range blobs {
		if w.chance(70) && w.headBlob(ctx, repo, b) {
			continue
		}
		if !w.upload(ctx, repo, b) {
			return false
		}
		if w.chance(20) && !w.headBlob(ctx, repo, b) {
			return false
		}
	}
	return true
}

// pushReferrer pushes something that refers to one of a few subjects, which need not be there.
func (w *worker) pushReferrer(ctx context.Context) {
	repo := pick(w.client, w.world.busy)
	subject := pick(w.client, w.world.bases)
	if w.chance(10) {
		if w.pushBlobs(ctx, repo, subject.blobs) {
			w.putManifest(ctx, repo, subject.digest, subject)
		}
		return
	}
	d := subject.descriptor()
	p := parts{name: w.name("referrer"), config: w.world.config, subject: &d}
	if w.chance(60) {
		p.kind = pick(w.client, artifactTypes)
	}
	i := newImage(p)
	if !w.pushBlobs(ctx, repo, i.blobs) {
		return
	}
	if !w.putManifest(ctx, repo, i.digest, i) {
		return
	}
	w.world.recent[repo].add(i)
	if w.chance(30) {
		w.listReferrers(ctx, repo, subject)
	}
}

var artifactTypes = []string{"application/vnd.holdfast.history.signature", "application/vnd.holdfast.history.report+json"}

// moveTag sets one tag, or several in one push, to an image that is there, or was.
func (w *worker) moveTag(ctx context.Context) {
	repo := pick(w.client, w.world.busy)
	i := w.world.recent[repo].pick(w.random)
	if i == nil {
		return
	}
	if w.chance(60) {
		w.putManifest(ctx, repo, pick(w.client, w.world.tags), i)
		return
	}
	first, second := pick(w.client, w.world.tags), pick(w.client, w.world.tags)
	tags := slices.Compact([]string{first, second})
	w.putManifest(ctx, repo, i.digest, i, tags...)
}

// pull reads what a tag names: the manifest, and its blobs.
func (w *worker) pull(ctx context.Context) {
	repos := w.world.busy
	if w.chance(20) {
		repos = w.world.racy
	}
	repo, tag := pick(w.client, repos), pick(w.client, w.world.tags)
	if w.chance(30) {
		w.headManifest(ctx, repo, tag)
		return
	}
	digest, blobs := w.getManifest(ctx, repo, tag)
	if digest != "" && w.chance(30) {
		w.headManifest(ctx, repo, digest)
	}
	for _, b := range blobs {
		if w.chance(50) {
			w.getBlob(ctx, repo, b.Digest.String(), b.Size)
		}
	}
}

// look asks for one thing.
func (w *worker) look(ctx context.Context) {
	repo := pick(w.client, w.world.busy)
	switch n := w.random.IntN(10); {
	case n < 3:
		w.headBlob(ctx, repo, pick(w.client, w.world.layers))
	case n < 6:
		w.getPart(ctx, repo, pick(w.client, w.world.layers))
	default:
		if i := w.world.recent[repo].pick(w.random); i != nil {
			w.getManifest(ctx, repo, i.digest)
		}
	}
}

func (w *worker) lists(ctx context.Context) {
	repos := slices.Concat(w.world.busy, w.world.racy)
	if w.chance(10) {
		repos = w.world.late
	}
	switch w.random.IntN(4) {
	case 0, 1:
		w.listTags(ctx, pick(w.client, repos))
	case 2:
		w.listCatalog(ctx)
	default:
		w.listReferrers(ctx, pick(w.client, w.world.busy), pick(w.client, w.world.bases))
	}
}

func (w *worker) mountLayer(ctx context.Context) {
	to := pick(w.client, slices.Concat(w.world.busy, w.world.late, w.world.racy))
	b, from := pick(w.client, w.world.layers), pick(w.client, w.world.busy)
	if to == from {
		return
	}
	if w.chance(30) {
		from = "" // from wherever it is
	}
	if w.mount(ctx, to, from, b) {
		w.getBlob(ctx, to, b.digest.String(), b.size())
	}
}

func (w *worker) deleteTag(ctx context.Context) {
	repo, tag := pick(w.client, slices.Concat(w.world.busy, w.world.racy)), pick(w.client, w.world.tags)
	w.deleteManifest(ctx, repo, tag)
	if w.chance(50) {
		w.headManifest(ctx, repo, tag)
	}
}

// deleteImage deletes an old image, or sometimes one that others are using.
func (w *worker) deleteImage(ctx context.Context) {
	repo := pick(w.client, w.world.busy)
	i := w.world.recent[repo].take()
	if w.chance(20) {
		i = w.world.recent[repo].pick(w.random)
	}
	if i == nil {
		return
	}
	w.deleteManifest(ctx, repo, i.digest)
	if w.chance(50) {
		w.headManifest(ctx, repo, i.digest)
	}
}

// raceForImage makes, reads or deletes an image that everybody makes and deletes.
func (w *worker) raceForImage(ctx context.Context) {
	repo, i, tag := pick(w.client, w.world.racy), pick(w.client, w.world.common), pick(w.client, w.world.tags[:3])
	switch n := w.random.IntN(20); {
	case n < 7:
		if w.pushBlobs(ctx, repo, i.blobs) {
			w.putManifest(ctx, repo, tag, i)
		}
	case n < 9:
		w.putManifest(ctx, repo, i.digest, i, tag)
	case n < 11:
		w.putManifest(ctx, repo, w.world.index.digest, w.world.index)
	case n < 15:
		w.deleteManifest(ctx, repo, i.digest)
		if w.chance(50) {
			w.headManifest(ctx, repo, tag)
		}
	case n < 16:
		w.deleteManifest(ctx, repo, w.world.index.digest)
	case n < 18:
		w.getManifest(ctx, repo, tag)
	default:
		w.getManifest(ctx, repo, i.digest)
	}
}

// raceForBlob makes, reads or deletes a blob of those images.
func (w *worker) raceForBlob(ctx context.Context) {
	repo, b := pick(w.client, w.world.racy), pick(w.client, w.world.loose)
	switch w.random.IntN(4) {
	case 0:
		w.upload(ctx, repo, b)
	case 1:
		w.getBlob(ctx, repo, b.digest.String(), b.size())
	case 2:
		w.deleteBlob(ctx, repo, b)
		if w.chance(50) {
			w.headBlob(ctx, repo, b)
		}
	default:
		w.deleteBlob(ctx, repo, b)
		w.upload(ctx, repo, b)
	}
}

// pageQuery writes the parameters of the first page.
func pageQuery(n int, last string) string {
	q := "?"
	if n > 0 {
		q += fmt.Sprintf("n=%d&", n)
	}
	if last != "" {
		q += "last=" + last
	}
	return q
}
