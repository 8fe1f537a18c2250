package rows

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/site"
)

// Table returns the rows of which something must be shown.
func Table(s Size) []Row {
	direct := []site.Kind{site.Direct}
	committing := []site.Setup{{Kind: site.Holdfast, Name: "holdfast, commit", Local: true, Commit: true}}
	big := of[int64](s, 128*mib, gib, gib)
	storm := of[int64](s, 32*mib, 256*mib, 256*mib)
	pushed := of[int64](s, 64*mib, 256*mib, gib)
	last := of[int64](s, 256*mib, 2*gib, 10*gib)
	return []Row{
		{Name: "image-push", Title: "image push, 5 x 1 MiB", Clients: 8, Bytes: 5 * mib, Prepare: imagePush(5, mib)},
		{Name: "layer-push", Title: "layer push, 64 MiB", Clients: 4, Bytes: 64 * mib, Extra: direct, Prepare: blobPush(64 * mib)},
		{Name: "manifest-put", Title: "manifest PUT, one repository", Clients: 16, Prepare: manifestPut},
		{Name: "manifest-get", Title: "manifest GET by tag, 64 tags", Clients: 32, Extra: direct, Prepare: manifestGet(64, false)},
		{Name: "manifest-get-hot", Title: "manifest GET by tag, one tag", Clients: 32, Extra: direct, Prepare: manifestGet(1, false)},
		{Name: "manifest-get-digest", Title: "manifest GET by digest, 64", Clients: 32, Extra: direct, Prepare: manifestGet(64, true)},
		{Name: "image-pull", Title: "image pull, 5 x 1 MiB", Clients: 8, Bytes: 5 * mib, Prepare: imagePull(16, 5, mib)},
		{Name: "blob-pull", Title: "blob pull, 64 MiB", Clients: 4, Bytes: 64 * mib, Extra: direct, Prepare: pulls(4, 64*mib)},
		{
			Name: "blob-pull-one", Title: fmt.Sprintf("blob pull, %d MiB, S3 at 80 MB/s per connection", big/mib), Clients: 1, Bytes: big, Limit: 80e6,
			Once: true, Rounds: 2, Extra: direct, Prepare: pulls(1, big),
		},
		{
			Name: "blob-storm", Title: fmt.Sprintf("64 clients pull one cold layer of %d MiB", storm/mib), Clients: 64, Bytes: storm,
			Once: true, Rounds: 1, Anew: true, Cold: true, Prepare: pulls(1, storm),
		},
		{Name: "mount", Title: "mount from another repository", Clients: 16, Without: []site.Kind{site.Zot}, Prepare: mount},

		{Name: "local-blob-pull", Title: "directory: blob pull, 64 MiB", Clients: 4, Bytes: 64 * mib, Local: true, Extra: []site.Kind{site.Nginx}, Prepare: pulls(4, 64*mib)},
		{Name: "local-image-push", Title: "directory: image push, 5 x 1 MiB", Clients: 8, Bytes: 5 * mib, Local: true, Variants: committing, Prepare: imagePush(5, mib)},
		{Name: "local-manifest-put", Title: "directory: manifest PUT, one repository", Clients: 16, Local: true, Variants: committing, Prepare: manifestPut},
		{Name: "local-manifest-get", Title: "directory: manifest GET by tag, 64 tags", Clients: 32, Local: true, Variants: committing, Prepare: manifestGet(64, false)},

		{Name: "tags", Title: fmt.Sprintf("tags list, %d tags, all pages", of(s, 1000, 10_000, 10_000)), Clients: 2, Prepare: tagsList(of(s, 1000, 10_000, 10_000))},
		{Name: "local-tags", Title: "directory: tags list, all pages", Clients: 2, Ours: true, Local: true, Prepare: tagsList(of(s, 1000, 10_000, 10_000))},
		{Name: "local-tags-many", Title: "directory: tags list, all pages, ten times as many", Clients: 2, Ours: true, Local: true, Prepare: tagsList(of(s, 10_000, 100_000, 100_000))},
		{
			Name: "start", Title: fmt.Sprintf("start to ready, %d images", of(s, 1000, 10_000, 10_000)), Clients: 1, Once: true, Search: true,
			Prepare: start(of(s, 10, 100, 100), 100),
		},
		{
			Name: "push-memory", Title: fmt.Sprintf("16 pushes of %d MiB at once", pushed/mib), Clients: 16, Bytes: pushed,
			Once: true, Rounds: 1, Alone: true, Prepare: blobPush(pushed),
		},
		{Name: "last-put", Title: "answer to the last PUT, 10 MiB", Clients: 1, Ours: true, Prepare: lastPut(10 * mib)},
		{
			Name: "last-put-large", Title: fmt.Sprintf("answer to the last PUT, %d MiB", last/mib), Clients: 1, Ours: true,
			Once: true, Rounds: of(s, 2, 3, 1), Alone: true, Prepare: lastPut(last),
		},
	}
}

// imagePush: each image goes to a repository of its own.
func imagePush(layers int, size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(_ context.Context, t *Target) (load.Operation, error) {
		return load.Plain(func(ctx context.Context, _ int) error {
			image, err := t.Content.Image(layers, size)
			if err != nil {
				return err
			}
			_, err = t.Client.PushImage(ctx, t.Name("pushed/app"), "v1", image)
			return err
		}), nil
	}
}

func imagePull(n, layers int, size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		images := make([]load.Image, n)
		manifests := make([]load.Manifest, n)
		repo := func(i int) string { return fmt.Sprintf("pulled/app-%d", i) }
		err := each(ctx, n, 4, func(ctx context.Context, i int) (err error) {
			if images[i], err = t.Content.Image(layers, size); err != nil {
				return err
			}
			if manifests[i], err = t.Client.PushImage(ctx, repo(i), "v1", images[i]); err != nil {
				return err
			}
			return t.Client.Check(ctx, repo(i), images[i].Layers[0])
		})
		if err != nil {
			return nil, err
		}
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			i := int(next.Add(1)-1) % n
			return t.Client.PullImage(ctx, repo(i), "v1", images[i], manifests[i])
		}), nil
	}
}

func blobPush(size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(_ context.Context, t *Target) (load.Operation, error) {
		if _, err := t.Content.Blob(size); err != nil { // its hash is computed here
			return nil, err
		}
		return load.Plain(func(ctx context.Context, _ int) error {
			b, err := t.Content.Blob(size)
			if err != nil {
				return err
			}
			if t.Kind == site.Direct {
				return t.write(ctx, t.Name("object"), b)
			}
			return t.Client.PushBlob(ctx, "pushed/layers", b)
		}), nil
	}
}

func lastPut(size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(_ context.Context, t *Target) (load.Operation, error) {
		if _, err := t.Content.Blob(size); err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ int) (time.Duration, error) {
			b, err := t.Content.Blob(size)
			if err != nil {
				return 0, err
			}
			return t.Client.PushBlobTimed(ctx, "pushed/layers", b)
		}, nil
	}
}

// prepareImage pushes the blobs that manifests refer to.
func prepareImage(ctx context.Context, t *Target, repo string) (load.Image, error) {
	image, err := t.Content.Image(5, 4*kib)
	if err != nil {
		return load.Image{}, err
	}
	blobs := append([]load.Blob{image.Config}, image.Layers...)
	return image, each(ctx, len(blobs), 2, func(ctx context.Context, i int) error { return t.Client.PutBlob(ctx, repo, blobs[i]) })
}

// manifestPut: each manifest is another one with a tag of its own.
func manifestPut(ctx context.Context, t *Target) (load.Operation, error) {
	const repo = "pushed/app"
	image, err := prepareImage(ctx, t, repo)
	if err != nil {
		return nil, err
	}
	return load.Plain(func(ctx context.Context, _ int) error { return t.putTagged(ctx, repo, image) }), nil
}

// manifestGet: the limit reads objects of the same size.
func manifestGet(n int, byDigest bool) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "pulled/app"
		var err error
		get := make([]func(context.Context) error, n)
		if t.Kind == site.Direct {
			err = each(ctx, n, 8, func(ctx context.Context, i int) error {
				b, err := t.Content.Blob(manifestSize)
				if err != nil {
					return err
				}
				get[i], err = t.keep(ctx, repo, b)
				return err
			})
		} else {
			var image load.Image
			if image, err = prepareImage(ctx, t, repo); err != nil {
				return nil, err
			}
			err = each(ctx, n, 4, func(ctx context.Context, i int) error {
				reference := tagName(i)
				m, err := image.Manifest(note(repo, i))
				if err != nil {
					return err
				}
				if err := t.Client.PutManifest(ctx, repo, reference, m); err != nil {
					return err
				}
				if byDigest {
					reference = m.Digest
				}
				get[i] = func(ctx context.Context) error { return t.Client.GetManifest(ctx, repo, reference, m) }
				return nil
			})
		}
		if err != nil {
			return nil, err
		}
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			return get[int(next.Add(1)-1)%n](ctx)
		}), nil
	}
}

// manifestSize is what prepareImage's manifests come to, about.
const manifestSize = 1230

// mount: each goes to a repository of its own.
func mount(ctx context.Context, t *Target) (load.Operation, error) {
	b, err := t.Content.Blob(mib)
	if err != nil {
		return nil, err
	}
	const from = "base/image"
	if err := t.Client.PushBlob(ctx, from, b); err != nil {
		return nil, err
	}
	return load.Plain(func(ctx context.Context, _ int) error {
		return t.Client.Mount(ctx, t.Name("mounted/app"), from, b.Digest)
	}), nil
}

func tagsList(n int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "listed/app"
		if err := t.fill(ctx, []string{repo}, n); err != nil {
			return nil, err
		}
		return load.Plain(func(ctx context.Context, _ int) error {
			items, _, err := t.Client.List(ctx, "/v2/"+repo+"/tags/list", "tags")
			if err == nil && items != n {
				err = fmt.Errorf("rows: %d tags listed, want %d", items, n)
			}
			return err
		}), nil
	}
}

func start(repos, tags int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		names := make([]string, repos)
		for i := range names {
			names[i] = fmt.Sprintf("stored/app-%d", i)
		}
		if err := t.fill(ctx, names, tags); err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ int) (time.Duration, error) { return t.Restart(ctx) }, nil
	}
}
