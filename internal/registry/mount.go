package registry

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// MountBlob implements Blobs. Like a commit it puts the link pending first and looks at the record after
// it; what it copies comes from the record, the source's link only says that the caller may have it.
func (l *Local) MountBlob(ctx context.Context, repo oci.Repository, d oci.Digest, from Source) error {
	if err := l.checkName(repo); err != nil {
		return err
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	if from.Repository == "" {
		found, err := l.anySource(ctx, repo, d, from.Allowed)
		if err != nil {
			return err
		}
		if found == "" {
			return ErrNotMounted
		}
		from.Repository = found
	} else if from.Allowed != nil && !from.Allowed(from.Repository) {
		return ErrNotMounted
	}
	c := &commit{l: l, repo: repo, digest: d}
	var source stored[linkHead]
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		source, err = read[linkHead](gctx, l, format.LinkKey(from.Repository, d))
		return err
	})
	g.Go(func() error { return c.putLink(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	if !source.Present() {
		return ErrNotMounted
	}
	return c.settleMount(ctx)
}

// settleMount is settle for a blob whose segments are not ours: there must be a record.
func (c *commit) settleMount(ctx context.Context) error {
	key := format.LinkKey(c.repo, c.digest)
	for round := range rounds(ctx) {
		if round > 0 {
			if err := c.putLink(ctx); err != nil {
				return err
			}
		}
		if c.link.Present() {
			link, err := c.l.keepLink(ctx, key, c.link)
			if err != nil || link.Present() {
				return err
			}
			continue
		}
		rec, err := read[blobHead](ctx, c.l, format.BlobKey(c.digest))
		if err == nil && rec.Is(condemned) {
			rec, err = swap(ctx, c.l, format.BlobKey(c.digest), rec, live)
		}
		if err != nil && !isConflict(err) {
			return err
		}
		if !rec.Is(live) {
			return ErrNotMounted
		}
		head := linkHead{Size: rec.Head.Size, Segments: rec.Head.Segments}
		head.State = live
		c.link, err = writeOrFind(ctx, c.l, key, c.link, head, nil, false)
		c.l.changed(c.repo, c.digest)
		if c.link.Is(live) && isConflict(err) {
			return nil // somebody else finished it
		}
		if err == nil || !isConflict(err) || maybeWritten(err) {
			return err
		}
	}
	return errContended("mount a blob")
}

// anySource finds a repository that has the blob and that the caller may read, "" if there is none.
func (l *Local) anySource(ctx context.Context, repo oci.Repository, d oci.Digest, allowed func(oci.Repository) bool) (oci.Repository, error) {
	prefix := format.LinkPrefix(d)
	for entry, err := range l.records.List(ctx, prefix, "") {
		if err != nil {
			return "", err
		}
		if entry.Size == format.DeadSize {
			continue
		}
		found := format.UnescapeRepository(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if found == repo || allowed != nil && !allowed(found) {
			continue
		}
		// The size tells the dead apart, not what is pending or corrupt.
		link, err := read[linkHead](ctx, l, entry.Key)
		if err != nil || link.Present() {
			return found, err
		}
	}
	return "", nil
}
