package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// DeleteTag implements Manifests with two requests.
func (l *Local) DeleteTag(ctx context.Context, repo oci.Repository, name oci.Tag) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	tag, err := read[tagHead](ctx, l, tagKey(repo, name))
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return err
		}
		if !tag.present() {
			return errManifestUnknown(oci.Reference{Tag: name})
		}
		if tag, err = l.buryTag(ctx, repo, name, tag); err == nil {
			return nil
		}
	}
	return errContended("delete a tag")
}

// DeleteManifest implements Manifests. The tags go first, so that no tag names a manifest that is dead, and
// once more after it: a push that found the manifest alive may have set one of them meanwhile, and have
// been acknowledged. After a cut it may be sent again: what is done already is skipped.
func (l *Local) DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	key := manifestKey(repo, d)
	m, err := read[manifestHead](ctx, l, key)
	if err != nil {
		return err
	}
	if !m.present() {
		return l.redelete(ctx, repo, d, m)
	}
	parsed, err := l.parsed(d, m.Head.MediaType, m.Body)
	if err != nil {
		return err
	}
	if err := l.buryTagsOf(ctx, repo, d, false); err != nil {
		return err
	}
	for range rounds(ctx) {
		head := manifestHead{MediaType: m.Head.MediaType, Epoch: m.Head.Epoch, Generation: m.Head.Generation}
		head.State = dead
		if parsed.Subject != nil {
			head.Subject = parsed.Subject.Digest
		}
		var now stored[manifestHead]
		if now, err = write(ctx, l, key, m, head, nil, false); err == nil {
			return l.afterManifest(ctx, repo, d, head)
		}
		if !isConflict(err) {
			return err
		}
		if m = now; !m.present() {
			return l.afterManifest(ctx, repo, d, m.Head) // another delete came first; it may die before its last steps
		}
	}
	return errContended("delete a manifest")
}

// afterManifest makes a manifest's death known: pushes that saw it alive look again, tags that they set go
// as well, and its subject no longer lists it.
func (l *Local) afterManifest(ctx context.Context, repo oci.Repository, d oci.Digest, head manifestHead) error {
	if err := l.raiseFence(ctx, repo); err != nil {
		return err
	}
	if err := l.buryTagsOf(ctx, repo, d, true); err != nil {
		return err
	}
	if head.Subject == "" {
		return nil
	}
	return l.dropReferrer(ctx, repo, head.Subject, d, head.Generation)
}

// redelete answers a delete of what is not there. A young tombstone may be of a delete that died half
// way: its last steps are done once more.
func (l *Local) redelete(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead]) error {
	if m.is(dead) && l.records.Now().Sub(m.Modified) < l.ages.Request {
		if err := l.afterManifest(ctx, repo, d, m.Head); err != nil {
			return err
		}
	}
	return errManifestUnknown(oci.Reference{Digest: d})
}

// buryTagsOf buries the tags that hold a manifest: its markers name all that ever did. ifDead spares them
// when a push has brought the manifest back.
func (l *Local) buryTagsOf(ctx context.Context, repo oci.Repository, d oci.Digest, ifDead bool) error {
	prefix := markerPrefix(repo, d)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for entry, err := range l.records.List(gctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		name := oci.Tag(strings.TrimPrefix(string(entry.Key), string(prefix)))
		g.Go(func() error { return l.buryTagIf(gctx, repo, name, d, ifDead) })
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

func (l *Local) buryTagIf(ctx context.Context, repo oci.Repository, name oci.Tag, d oci.Digest, ifDead bool) error {
	tag, err := read[tagHead](ctx, l, tagKey(repo, name))
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return err
		}
		if !tag.present() || tag.Head.Digest != d {
			return nil
		}
		if ifDead {
			// Looked at after the tag was read: a push that comes back later sets the tag anew, or finds it as it was.
			m, err := read[manifestHead](ctx, l, manifestKey(repo, d))
			if err != nil || m.present() {
				return err
			}
		}
		if tag, err = l.buryTag(ctx, repo, name, tag); err == nil {
			return nil
		}
	}
	return errContended("delete a tag")
}

// DeleteBlob implements Blobs: the collector's steps for one link, in line. Condemn, raise the fence, look
// again, kill or restore.
func (l *Local) DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	key := linkKey(repo, d)
	for range rounds(ctx) {
		link, err := read[linkHead](ctx, l, key)
		if err != nil {
			return err
		}
		if !link.is(live, condemned, corrupt) {
			return errBlobUnknown(d)
		}
		if err := l.checkUnused(ctx, repo, d); err != nil {
			return err
		}
		// A corrupt link stays so meanwhile: nobody takes it for present.
		if !link.is(corrupt) {
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
			if link.is(condemned) {
				if _, restoreErr := swap(ctx, l, key, link, live); restoreErr != nil && !isConflict(restoreErr) {
					return restoreErr
				}
			}
			return err
		}
		head := linkHead{}
		head.State = dead
		if _, err = write(ctx, l, key, link, head, nil, false); err == nil || !isConflict(err) {
			return err
		}
	}
	return errContended("delete a blob")
}

// checkUnused looks whether a manifest of the repository refers to a blob. Manifests are read once and
// remembered by digest. Errors: DENIED (InUse).
func (l *Local) checkUnused(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	prefix := manifestPrefix(repo)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for entry, err := range l.records.List(gctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		if entry.Size == deadSize {
			continue
		}
		by, err := partDigest(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if err != nil {
			return fmt.Errorf("registry: list %s: %s is not a manifest's key: %w", prefix, entry.Key, joinWait(g, err))
		}
		g.Go(func() error { return l.checkNotOf(gctx, repo, entry.Key, by, d) })
	}
	return g.Wait()
}

func (l *Local) checkNotOf(ctx context.Context, repo oci.Repository, key record.Key, by, d oci.Digest) error {
	m, known := l.refs.Get(by)
	if !known {
		s, err := read[manifestHead](ctx, l, key)
		if err != nil {
			return err
		}
		if !s.present() {
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
