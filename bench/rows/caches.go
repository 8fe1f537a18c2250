package rows

import (
	"context"
	"fmt"
	"sync/atomic"

	"holdfast/bench/load"
	"holdfast/bench/site"
)

// The states of a replica in which Caches measures.
const (
	Cold = "cold" // it has just started; an earlier process of the same cluster was asked everything
	Warm = "warm" // it was asked everything
)

// Caches returns the rows that say what it is worth to remember: of Holdfast that remembers nothing, in its own memory, in Redis and in DynamoDB. One client, because it is
// about how long an operation takes. In a cold row each operation is about a repository that the process was not asked about before; in a warm one all are about few.
func Caches(s Size) (all []Row) {
	var subjects []site.Setup
	for _, m := range []site.Memory{site.Nothing, site.Own, site.InRedis, site.InDynamoDB} {
		subjects = append(subjects, site.Setup{Kind: site.Holdfast, Name: string(site.Holdfast) + ", " + string(m), Remember: m})
	}
	for _, one := range []struct {
		name, title string
		bytes       int64
		cold        int // operations of a cold round
		thing       func(ctx context.Context, t *Target, repo string) (func(context.Context) error, error)
	}{
		{"manifest-get", "manifest GET by tag", 0, 30, tagged},
		{"blob-head", "HEAD blob", 0, 30, headed},
		{"blob-get-64KiB", "blob GET, 64 KiB", 64 * kib, 30, pulled(64 * kib)},
		{"blob-get-1MiB", "blob GET, 1 MiB", mib, 30, pulled(mib)},
		{"manifest-put", "manifest PUT, 6 references", 0, 20, putAgain},
		{"image-push", "image push, 5 x 64 KiB", 5 * 64 * kib, 10, pushedNew},
		{"image-push-again", "image push, its blobs there, 5 x 64 KiB", 0, 10, pushedAgain},
		{"image-pull", "image pull, 5 x 64 KiB", 5 * 64 * kib, 10, pulledImage},
	} {
		times := of(s, max(one.cold/3, 4), one.cold, one.cold)
		row := Row{Title: one.title, Clients: 1, Bytes: one.bytes, Ours: true, Instead: subjects}
		cold, warm := row, row
		cold.Name, cold.State, cold.Cold, cold.Quiet, cold.Anew, cold.Times = one.name+"-cold", Cold, true, true, true, times
		cold.Prepare = things(times, one.thing, false)
		warm.Name, warm.State = one.name+"-warm", Warm
		warm.Prepare = things(4, one.thing, true)
		all = append(all, cold, warm)
	}
	return all
}

// things prepares a thing in each of n repositories, does each once, and returns the operation that does one after the other; again and again only where it may.
func things(n int, thing func(context.Context, *Target, string) (func(context.Context) error, error), again bool) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		repos := make([]string, n)
		for i := range repos {
			repos[i] = t.Name("cached/app")
		}
		do := make([]func(context.Context) error, n)
		err := each(ctx, n, 4, func(ctx context.Context, i int) (err error) {
			if do[i], err = thing(ctx, t, repos[i]); err != nil {
				return err
			}
			return do[i](ctx)
		})
		if err != nil {
			return nil, err
		}
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			i := int(next.Add(1) - 1)
			if i >= n && !again {
				return fmt.Errorf("rows: operation %d of %d things", i+1, n)
			}
			return do[i%n](ctx)
		}), nil
	}
}

// smallImage pushes an image, and is what there is in a repository in which something was pushed before: its fence is known where anybody knows it.
func smallImage(ctx context.Context, t *Target, repo string) (load.Image, load.Manifest, error) {
	image, err := t.Content.Image(5, 64*kib)
	if err != nil {
		return load.Image{}, load.Manifest{}, err
	}
	m, err := t.Client.PushImage(ctx, repo, "v1", image)
	return image, m, err
}

func tagged(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	_, m, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error { return t.Client.GetManifest(ctx, repo, "v1", m) }, err
}

func headed(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	image, _, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error { return t.there(ctx, repo, image.Config) }, err
}

// there asks for a blob that must be there.
func (t *Target) there(ctx context.Context, repo string, b load.Blob) error {
	there, err := t.Client.HasBlob(ctx, repo, b.Digest)
	if err == nil && !there {
		err = fmt.Errorf("rows: %s that was pushed is not there", b.Digest)
	}
	return err
}

func pulled(size int64) func(context.Context, *Target, string) (func(context.Context) error, error) {
	return func(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
		b, err := t.Content.Blob(size)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return t.Client.PullBlob(ctx, repo, b) }, t.Client.PushBlob(ctx, repo, b)
	}
}

// putAgain: each manifest is a new one by a new tag, of blobs that an earlier one has too.
func putAgain(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	image, _, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error { return t.putTagged(ctx, repo, image) }, err
}

// putTagged puts a new manifest of an image's blobs by a new tag.
func (t *Target) putTagged(ctx context.Context, repo string, image load.Image) error {
	tag := t.Name("v")
	m, err := image.Manifest(tag)
	if err != nil {
		return err
	}
	return t.Client.PutManifest(ctx, repo, tag, m)
}

// pushedNew: each image has new blobs, and goes to a repository that has others.
func pushedNew(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	_, _, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error {
		image, err := t.Content.Image(5, 64*kib)
		if err != nil {
			return err
		}
		_, err = t.Client.PushImage(ctx, repo, t.Name("v"), image)
		return err
	}, err
}

// pushedAgain: all blobs are there, as HEAD says, and the manifest is new.
func pushedAgain(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	image, _, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error {
		for _, b := range append([]load.Blob{image.Config}, image.Layers...) {
			if err := t.there(ctx, repo, b); err != nil {
				return err
			}
		}
		return t.putTagged(ctx, repo, image)
	}, err
}

func pulledImage(ctx context.Context, t *Target, repo string) (func(context.Context) error, error) {
	image, m, err := smallImage(ctx, t, repo)
	return func(ctx context.Context) error { return t.Client.PullImage(ctx, repo, "v1", image, m) }, err
}
