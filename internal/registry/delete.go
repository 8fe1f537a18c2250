package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// DeleteTag implements Manifests with two requests, three when the manifest has more than 256 KiB. A tag that readers do not see, because it
// counts for nothing or the life of its manifest is over, is buried all the same.
func (l *Local) DeleteTag(ctx context.Context, repo oci.Repository, name oci.Tag) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	tag, err := read[tagHead](ctx, l, format.TagKey(repo, name))
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return err
		}
		if !tag.Exists() || tag.Is(dead) {
			return errManifestUnknown(oci.Reference{Tag: name})
		}
		seen := tag.Present()
		if seen && tag.Head.Size > format.InlineBytes {
			over, err := l.isOver(ctx, repo, tag.Head.Digest, tag.Head.Generation, "")
			if err != nil {
				return err
			}
			seen = !over
		}
		if tag, err = l.buryTag(ctx, repo, name, tag); err == nil {
			l.changed(repo)
			if !seen {
				return errManifestUnknown(oci.Reference{Tag: name})
			}
			return nil
		}
	}
	return errContended("delete a tag")
}

// DeleteManifest implements Manifests. Once the manifest is dead, every tag that it ever had is written, and its subject's referrers are: what
// pushes that saw it alive have written by then goes as well, and what they are about to write fails. It goes on when the
// client leaves; after a crash, or when the store fails, it may be sent again.
func (l *Local) DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	ctx, cancel := l.bounded(context.WithoutCancel(ctx))
	defer cancel()
	key := format.ManifestKey(repo, d)
	m, err := read[manifestHead](ctx, l, key)
	if err != nil {
		return err
	}
	if !m.Present() {
		return l.redelete(ctx, repo, d, m)
	}
	parsed := l.parsedOrEmpty(ctx, repo, d, m)
	for range rounds(ctx) {
		head := manifestHead{MediaType: m.Head.MediaType, Epoch: m.Head.Epoch, Generation: m.Head.Generation}
		head.State = dead
		if parsed.Subject != nil {
			head.Subject = parsed.Subject.Digest
		}
		var now stored[manifestHead]
		if now, err = write(ctx, l, key, m, head, nil, false); err == nil {
			l.changed(repo, parsed.BlobDigests()...)
			return l.AfterManifest(ctx, repo, d, head)
		}
		if !isConflict(err) {
			return err
		}
		if m = now; !m.Present() {
			return l.AfterManifest(ctx, repo, d, m.Head) // another delete came first; it may die before its last steps
		}
	}
	return errContended("delete a manifest")
}

// AfterManifest makes a manifest's death known: pushes that saw it alive look again, its tags go, and its subject no longer lists it.
func (l *Local) AfterManifest(ctx context.Context, repo oci.Repository, d oci.Digest, head manifestHead) error {
	if err := l.raiseFence(ctx, repo); err != nil {
		return err
	}
	if err := l.passTags(ctx, repo, d, head.Generation); err != nil || head.Subject == "" {
		return err
	}
	return l.dropReferrer(ctx, repo, head.Subject, d, head.Generation)
}

// redelete answers a delete of what is not there. A tombstone may be of a delete that died half way: its last steps are done
// once more.
func (l *Local) redelete(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead]) error {
	if m.Is(dead) {
		if err := l.AfterManifest(ctx, repo, d, m.Head); err != nil {
			return err
		}
	}
	return errManifestUnknown(oci.Reference{Digest: d})
}

// passTags passes every tag that a manifest ever had: its markers name them. What fails for one keeps nobody from the others.
func (l *Local) passTags(ctx context.Context, repo oci.Repository, d oci.Digest, ended string) error {
	prefix := format.MarkerPrefix(repo, d)
	g := new(errgroup.Group)
	g.SetLimit(parallelReads)
	for entry, err := range l.records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		name := oci.Tag(strings.TrimPrefix(string(entry.Key), string(prefix)))
		g.Go(func() error { return l.passTag(ctx, repo, name, d, ended) })
	}
	return g.Wait()
}

// joinWait waits for what runs, whose error, if any, is the cause of err.
func joinWait(g *errgroup.Group, err error) error {
	if cause := g.Wait(); cause != nil {
		return cause
	}
	return err
}

// passTag writes a tag once a life of its manifest has ended: a tag that was set in a life that is over is buried, one that names another
// manifest, or nothing, only gets a new version, by this delete or by whoever is faster, so that a push that read it during that life
// cannot set it any more without looking at the manifest.
func (l *Local) passTag(ctx context.Context, repo oci.Repository, name oci.Tag, d oci.Digest, ended string) error {
	key := format.TagKey(repo, name)
	tag, err := read[tagHead](ctx, l, key)
	for range rounds(ctx) {
		passed := isConflict(err)
		if err != nil && !passed {
			return err
		}
		switch {
		case tag.Present() && tag.Head.Digest == d:
			over, lookErr := l.isOver(ctx, repo, d, tag.Head.Generation, ended)
			if lookErr != nil || !over {
				return lookErr // set since, in a life that goes on
			}
			tag, err = l.buryTag(ctx, repo, name, tag)
		case passed:
			return nil
		case tag.Is(live, dead):
			tag, err = swap(ctx, l, key, tag, tag.State)
		default:
			tag, err = l.buryTag(ctx, repo, name, tag)
		}
		if err == nil {
			return nil
		}
	}
	return errContended("delete a tag")
}

// isOver reports whether a life of a manifest is over: it is the one that has just ended, or the manifest is not in it. No life
// comes back.
func (l *Local) isOver(ctx context.Context, repo oci.Repository, d oci.Digest, life, ended string) (bool, error) {
	if life == ended {
		return true, nil
	}
	m, err := read[manifestHead](ctx, l, format.ManifestKey(repo, d))
	return !m.Present() || m.Head.Generation != life, err
}

// buryTag swaps a tag to a tombstone that says what it named, and before.
func (l *Local) buryTag(ctx context.Context, repo oci.Repository, name oci.Tag, tag stored[tagHead]) (stored[tagHead], error) {
	return write(ctx, l, format.TagKey(repo, name), tag, format.Tombstone(tag, caller(ctx)), nil, false)
}

// DeleteBlob implements Blobs: the collector's steps for one link, in line. Condemn, raise the fence, look
// again, kill or restore.
func (l *Local) DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	key := format.LinkKey(repo, d)
	for range rounds(ctx) {
		link, err := read[linkHead](ctx, l, key)
		if err != nil {
			return err
		}
		if !link.Is(live, condemned, corrupt) {
			return errBlobUnknown(d)
		}
		if err := l.checkUnused(ctx, repo, d); err != nil {
			return err
		}
		// A corrupt link stays so meanwhile: nobody takes it for present.
		if !link.Is(corrupt) {
			if link, err = swap(ctx, l, key, link, condemned); isConflict(err) {
				continue
			} else if err != nil {
				return err
			}
		}
		if err := l.raiseFence(ctx, repo); err != nil {
			return err
		}
		if err := l.checkUnused(ctx, repo, d); err != nil {
			if link.Is(condemned) {
				if _, restoreErr := swap(ctx, l, key, link, live); restoreErr != nil && !isConflict(restoreErr) {
					return restoreErr
				}
			}
			return err
		}
		head := linkHead{}
		head.State = dead
		if _, err = write(ctx, l, key, link, head, nil, false); err == nil || !isConflict(err) {
			l.changed(repo, d)
			return err
		}
	}
	return errContended("delete a blob")
}

// checkUnused looks whether a manifest of the repository refers to a blob. Manifests are read once and
// remembered by digest. Errors: DENIED (InUse).
func (l *Local) checkUnused(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	prefix := format.ManifestPrefix(repo)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for entry, err := range l.records.List(gctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		if entry.Size == format.DeadSize {
			continue
		}
		by, err := format.PartDigest(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if err != nil {
			return fmt.Errorf("registry: list %s: %s is not a manifest's key: %w", prefix, entry.Key, joinWait(g, err))
		}
		g.Go(func() error { return l.checkNotOf(gctx, repo, entry.Key, by, d) })
	}
	return g.Wait()
}

func (l *Local) checkNotOf(ctx context.Context, repo oci.Repository, key record.Key, by, d oci.Digest) error {
	m, known := l.refs.Find(by)
	if !known {
		s, err := read[manifestHead](ctx, l, key)
		if err != nil {
			return err
		}
		if !s.Present() {
			return nil
		}
		if m, err = l.parsed(by, s.Head.MediaType, s.Body); err != nil {
			return err
		}
	}
	for _, b := range slices.Concat(m.Blobs, m.Foreign) {
		if b.Digest == d {
			return &oci.Error{Code: oci.Denied, Reason: oci.InUse, Message: fmt.Sprintf("the blob is referenced by %s of %s: delete that first", by, repo), Detail: oci.Field{Field: "digest", Got: string(d)}}
		}
	}
	return nil
}
