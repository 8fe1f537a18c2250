package rows

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/site"
)

// More returns the rows beside the table: other sizes, other numbers of clients, and what clients do more seldom.
func More(s Size) []Row {
	var all []Row
	for _, layers := range []int{1, 5, 20} {
		for _, size := range []int64{kib, mib, 64 * mib, gib} {
			total := int64(layers) * size
			if layers == 5 && size == mib || total > of[int64](s, 20*mib, 64*mib, 2*gib) {
				continue // the first is in the table
			}
			all = append(all, Row{
				Name: fmt.Sprintf("image-push-%dx%s", layers, short(size)), Title: fmt.Sprintf("image push, %d x %s", layers, short(size)),
				Clients: 8, Bytes: total, Prepare: imagePush(layers, size),
			})
		}
	}
	for _, clients := range []int{1, 16, 64} {
		all = append(all,
			Row{
				Name: fmt.Sprintf("image-push-by-%d", clients), Title: "image push, 5 x 64 KiB, each to its own repository",
				Clients: clients, Bytes: 5 * 64 * kib, Prepare: imagePush(5, 64*kib),
			}, Row{
				Name: fmt.Sprintf("image-push-one-by-%d", clients), Title: "image push, 5 x 64 KiB, all to one repository",
				Clients: clients, Bytes: 5 * 64 * kib, Prepare: imagePushToOne(5, 64*kib),
			}, Row{
				Name: fmt.Sprintf("image-pull-by-%d", clients), Title: "image pull, 5 x 1 MiB", Clients: clients, Bytes: 5 * mib, Prepare: imagePull(16, 5, mib),
			})
	}
	return append(all,
		Row{Name: "blob-put", Title: "blob push by POST and one PUT, 1 MiB", Clients: 8, Bytes: mib, Prepare: blobPut(mib)},
		Row{Name: "image-pull-cold", Title: "image pull after a restart, 5 x 1 MiB", Clients: 8, Bytes: 5 * mib, Once: true, Anew: true, Cold: true, Prepare: imagePull(8, 5, mib)},
		Row{Name: "manifest-head", Title: "manifest HEAD by tag, 64 tags", Clients: 32, Prepare: manifestHead(64)},
		Row{Name: "blob-head", Title: "blob HEAD, 64 blobs", Clients: 32, Prepare: blobHead(64)},
		Row{Name: "range", Title: "range of 1 MiB of a blob of 64 MiB", Clients: 16, Bytes: mib, Prepare: ranges(64*mib, mib)},
		Row{Name: "tags-10", Title: "tags list, 10 tags", Clients: 16, Prepare: tagsList(10)},
		Row{Name: "tags-1000", Title: "tags list, 1000 tags", Clients: 4, Prepare: tagsList(1000)},
		Row{Name: "tags-many", Title: fmt.Sprintf("tags list, %d tags, all pages", of(s, 10_000, 100_000, 100_000)), Clients: 1, Ours: true, Once: true, Rounds: 1, Prepare: tagsList(of(s, 10_000, 100_000, 100_000))},
		Row{Name: "catalog", Title: fmt.Sprintf("catalog, %d repositories, all pages", of(s, 1000, 10_000, 100_000)), Clients: 1, Prepare: catalog(of(s, 1000, 10_000, 100_000))},
		Row{Name: "referrers", Title: fmt.Sprintf("referrers, %d of one subject", of(s, 100, 1000, 1000)), Clients: 4, Without: []site.Kind{site.Distribution}, Prepare: referrers(of(s, 100, 1000, 1000))},
		Row{Name: "delete", Title: "tag DELETE, each after a PUT; times are the DELETE's", Clients: 8, Prepare: deletes},
		Row{Name: "mixed", Title: "3 of 4 pull an image of 5 x 1 MiB, 1 of 4 pushes one", Clients: 16, Bytes: 5 * mib, Prepare: mixed},
		Row{Name: "local-mixed", Title: "directory: 3 of 4 pull an image of 5 x 1 MiB, 1 of 4 pushes one", Clients: 16, Bytes: 5 * mib, Local: true, Prepare: mixed},
	)
}

// Scaling returns the operations of the table of one replica, and of three behind HAProxy.
func Scaling(s Size) (all []Row) {
	three := []site.Setup{{Kind: site.Holdfast, Name: "holdfast, three", Replicas: 3}}
	for _, row := range Table(s) {
		if row.Local || row.Once || row.Ours || row.Clients < 4 {
			continue
		}
		row.Name, row.Title = "three-"+row.Name, "one replica and three: "+row.Title
		row.Clients *= 4
		row.Extra, row.Ours, row.Variants, row.Latency = nil, true, three, 30*time.Millisecond
		all = append(all, row)
	}
	return all
}

func short(size int64) string {
	switch {
	case size >= gib:
		return fmt.Sprintf("%dGiB", size/gib)
	case size >= mib:
		return fmt.Sprintf("%dMiB", size/mib)
	default:
		return fmt.Sprintf("%dKiB", size/kib)
	}
}

func imagePushToOne(layers int, size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(_ context.Context, t *Target) (load.Operation, error) {
		return load.Plain(func(ctx context.Context, _ int) error {
			image, err := t.Content.Image(layers, size)
			if err != nil {
				return err
			}
			_, err = t.Client.PushImage(ctx, "pushed/app", t.Name("v"), image)
			return err
		}), nil
	}
}

func blobPut(size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(_ context.Context, t *Target) (load.Operation, error) {
		return load.Plain(func(ctx context.Context, _ int) error {
			b, err := t.Content.Blob(size)
			if err != nil {
				return err
			}
			return t.Client.PutBlob(ctx, "pushed/layers", b)
		}), nil
	}
}

func manifestHead(n int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "pulled/app"
		image, err := prepareImage(ctx, t, repo)
		if err != nil {
			return nil, err
		}
		err = each(ctx, n, 4, func(ctx context.Context, i int) error {
			m, err := image.Manifest(note(repo, i))
			if err != nil {
				return err
			}
			return t.Client.PutManifest(ctx, repo, tagName(i), m)
		})
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			return t.Client.HeadManifest(ctx, repo, tagName(int(next.Add(1)-1)%n))
		}), err
	}
}

func blobHead(n int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "pulled/app"
		blobs, err := t.Content.Blobs(n, kib)
		if err != nil {
			return nil, err
		}
		err = each(ctx, n, 4, func(ctx context.Context, i int) error { return t.Client.PutBlob(ctx, repo, blobs[i]) })
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			there, err := t.Client.HasBlob(ctx, repo, blobs[int(next.Add(1)-1)%n].Digest)
			if err == nil && !there {
				err = fmt.Errorf("rows: a blob that was pushed is not there")
			}
			return err
		}), err
	}
}

func ranges(size, n int64) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "pulled/layers"
		b, err := t.Content.Blob(size)
		if err != nil {
			return nil, err
		}
		if err := t.Client.PushBlob(ctx, repo, b); err != nil {
			return nil, err
		}
		return load.Plain(func(ctx context.Context, _ int) error {
			return t.Client.PullRange(ctx, repo, b, rand.Int64N(size-n), n)
		}), nil
	}
}

func catalog(n int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		repos := make([]string, n)
		for i := range repos {
			repos[i] = fmt.Sprintf("catalog/app-%06d", i)
		}
		if err := t.fill(ctx, repos, 1); err != nil {
			return nil, err
		}
		return load.Plain(func(ctx context.Context, _ int) error {
			items, _, err := t.Client.List(ctx, "/v2/_catalog?n=1000", "repositories")
			if err == nil && items != n {
				err = fmt.Errorf("rows: %d repositories listed, want %d", items, n)
			}
			return err
		}), nil
	}
}

func referrers(n int) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		const repo = "signed/app"
		image, err := prepareImage(ctx, t, repo)
		if err != nil {
			return nil, err
		}
		subject, err := image.Manifest("")
		if err != nil {
			return nil, err
		}
		if err := t.Client.PutManifest(ctx, repo, "v1", subject); err != nil {
			return nil, err
		}
		err = each(ctx, n, 16, func(ctx context.Context, i int) error {
			m, err := image.Referrer(note(repo, i), subject)
			if err != nil {
				return err
			}
			return t.Client.PutManifest(ctx, repo, m.Digest, m)
		})
		return load.Plain(func(ctx context.Context, _ int) error {
			items, _, err := t.Client.List(ctx, "/v2/"+repo+"/referrers/"+subject.Digest, "manifests")
			if err == nil && items != n {
				err = fmt.Errorf("rows: %d referrers listed, want %d", items, n)
			}
			return err
		}), err
	}
}

func deletes(ctx context.Context, t *Target) (load.Operation, error) {
	const repo = "deleted/app"
	image, err := prepareImage(ctx, t, repo)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ int) (time.Duration, error) {
		tag := t.Name("v")
		m, err := image.Manifest(tag)
		if err != nil {
			return 0, err
		}
		if err := t.Client.PutManifest(ctx, repo, tag, m); err != nil {
			return 0, err
		}
		began := time.Now()
		err = t.Client.Delete(ctx, repo, tag)
		return time.Since(began), err
	}, nil
}

func mixed(ctx context.Context, t *Target) (load.Operation, error) {
	pull, err := imagePull(16, 5, mib)(ctx, t)
	if err != nil {
		return nil, err
	}
	push, err := imagePush(5, mib)(ctx, t)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, client int) (time.Duration, error) {
		if rand.IntN(4) == 0 {
			return push(ctx, client)
		}
		return pull(ctx, client)
	}, nil
}
