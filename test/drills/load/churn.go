package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// churn are the steps of clients whose images come and go. Most of what is pushed is soon replaced, untagged or deleted, much of it comes
// back, and the layers are those of others too: what a collector has just begun to take away is what somebody is about to need.
func churn() []step {
	return []step{
		{"push", 20, (*worker).pushReplacing},
		{"index", 8, (*worker).pushIndex},
		{"back", 16, (*worker).pushBack},
		{"again", 8, (*worker).putAgain},
		{"refer", 6, (*worker).pushReferrer},
		{"share", 2, (*worker).pushShared},
		{"pull", 16, (*worker).pullImage},
		{"look", 10, (*worker).look},
		{"list", 3, func(w *worker, ctx context.Context) { w.listTags(ctx, w.repo(), 1+w.random.IntN(20)) }},
		{"mount", 6, (*worker).mountLayer},
		{"untag", 12, (*worker).untag},
		{"remove", 6, (*worker).removeImage},
		{"drop", 3, (*worker).dropBlob},
		{"take", 3, (*worker).takeCommon},
		{"leave", 3, (*worker).leaveUpload},
	}
}

// common is one of many blobs that all clients push: few enough to be shared, too many to be needed all the time.
func (w *worker) common(what string, size int64) content {
	return newContent(fmt.Sprintf("common %s %d of seed %d, %s", what, w.random.IntN(64), w.opt.Seed, w.opt.Prefix), size)
}

// maxGone is how many images of a repository a client remembers that may come back.
const maxGone = 24

// left notes that images have lost a tag, or are deleted.
func (w *worker) left(repo string, images ...image) {
	for _, i := range images {
		if !i.keep && !slices.ContainsFunc(w.gone[repo], func(g image) bool { return g.digest == i.digest }) {
			w.gone[repo] = append(w.gone[repo], i)
		}
	}
	if extra := len(w.gone[repo]) - maxGone; extra > 0 {
		w.gone[repo] = slices.Delete(w.gone[repo], 0, extra)
	}
}

// pushReplacing pushes an image; the tag's last one is left to the collector, or comes back.
func (w *worker) pushReplacing(ctx context.Context) {
	w.pushTagged(ctx, w.repo(), w.newImage(w.config(), w.layer(), w.layer()))
}

// pushIndex pushes an index over two images.
func (w *worker) pushIndex(ctx context.Context) {
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Annotations: map[string]string{"op": w.name("index")},
	}
	children := []image{w.newImage(w.config(), w.layer()), w.newImage(w.config(), w.layer())}
	for n, c := range children {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: c.mediaType, Digest: digest.Digest(c.digest), Size: int64(len(c.body)),
			Platform: &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[n]},
		})
	}
	body, err := json.Marshal(index)
	if err != nil {
		panic(err) // a bug: the type can be written
	}
	i := imageOf(index.MediaType, body, nil)
	i.children = children
	w.pushTagged(ctx, w.repo(), i)
}

// pushBack pushes what the client has taken away, as if it had never been there.
func (w *worker) pushBack(ctx context.Context) {
	repo := w.repo()
	gone := w.gone[repo]
	if len(gone) == 0 {
		return
	}
	n := w.random.IntN(len(gone))
	i := gone[n]
	w.gone[repo] = slices.Delete(gone, n, n+1)
	w.pushTagged(ctx, repo, i)
}

// putAgain tags what the client has taken away, and does not ask whether its blobs are there: it is refused, or they stay.
func (w *worker) putAgain(ctx context.Context) {
	repo := w.repo()
	gone := w.gone[repo]
	if len(gone) == 0 {
		return
	}
	i, tag := gone[w.random.IntN(len(gone))], w.ownTag()
	if w.putManifest(ctx, repo, tag, i) {
		w.tagged(repo, tag)
		w.pullAll(ctx, repo, tag)
	}
}

// pushTagged pushes all that an image needs and is not there, and then the image, under one of the client's tags.
func (w *worker) pushTagged(ctx context.Context, repo string, i image) {
	for _, child := range i.children {
		if !w.pushBlobs(ctx, repo, child.blobs...) || !w.putManifest(ctx, repo, child.digest, child) {
			return
		}
	}
	tag := w.ownTag()
	if !w.pushBlobs(ctx, repo, i.blobs...) || !w.putManifest(ctx, repo, tag, i) {
		return
	}
	w.left(repo, w.images[repo]...)
	// The client's tags are six: what it has remembered of older pushes is mostly replaced.
	w.images[repo] = append(w.images[repo], i)
	if extra := len(w.images[repo]) - 12; extra > 0 {
		w.images[repo] = slices.Delete(w.images[repo], 0, extra)
	}
	w.tagged(repo, tag)
}

// pushReferrer pushes a manifest by its digest whose subject is one of the client's images, and asks for the subject's referrers.
func (w *worker) pushReferrer(ctx context.Context) {
	repo := w.repo()
	images := w.images[repo]
	if len(images) == 0 {
		return
	}
	subject := images[w.random.IntN(len(images))]
	layer, config := newContent(w.name("signature"), 300), w.config()
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/vnd.test.signature",
		Config:  v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.digest, Size: config.size},
		Layers:  []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: layer.digest, Size: layer.size}},
		Subject: &v1.Descriptor{MediaType: subject.mediaType, Digest: digest.Digest(subject.digest), Size: int64(len(subject.body))},
	}
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // a bug: the type can be written
	}
	i := imageOf(m.MediaType, body, []content{layer, config})
	i.subject = subject.digest
	if w.pushBlobs(ctx, repo, i.blobs...) && w.putManifest(ctx, repo, i.digest, i) {
		c := Call{Op: ReferrersList, Repo: repo, Ref: subject.digest, Target: w.target()}
		w.readReferrers(ctx, &c)
		w.history.Add(c)
	}
}

// readReferrers reads the referrers of a subject.
func (w *worker) readReferrers(ctx context.Context, c *Call) {
	a := w.send(ctx, c, request{method: http.MethodGet, url: c.Target + "/v2/" + c.Repo + "/referrers/" + c.Ref, keep: true})
	if c.Digest = ""; !c.OK() {
		return
	}
	var index v1.Index
	if err := json.Unmarshal(a.body, &index); err != nil {
		c.Corrupt, c.Err = true, err.Error()
		return
	}
	for _, d := range index.Manifests {
		c.Names = append(c.Names, string(d.Digest))
	}
}

// untag deletes one of the client's tags. What it held may come back.
func (w *worker) untag(ctx context.Context) {
	w.deleteTag(ctx)
	for repo, images := range w.images {
		w.left(repo, images...)
	}
}

// takeCommon deletes a blob that others push. It is refused while a manifest needs it.
func (w *worker) takeCommon(ctx context.Context) {
	w.deleteBlob(ctx, layer{w.repo(), w.common("layer", 20_000)})
}

// leaveUpload begins an upload that nobody goes on with.
func (w *worker) leaveUpload(ctx context.Context) {
	u := &upload{worker: w, repo: w.repo(), content: newContent(w.name("half a layer"), w.layerSize()), patient: w.opt.Patient}
	if u.start(ctx) {
		u.append(ctx, 0, max(2, u.size/2))
	}
}
