package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

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

// DeleteManifest implements Manifests. The tags go first, so that no tag names a manifest that is dead. Once it is dead, every tag
// that it ever had is written, and its subject's referrers are: what pushes that saw it alive have written by then goes as well,
// and what they are about to write fails. After a cut the delete may be sent again.
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
	var seen sync.Map // oci.Tag to stored[tagHead]
	err = l.eachTagOf(ctx, repo, d, func(ctx context.Context, name oci.Tag) error {
		tag, err := l.buryTagOf(ctx, repo, name, d)
		seen.Store(name, tag)
		return err
	})
	if err != nil {
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
			return l.afterManifest(ctx, repo, d, head, &seen)
		}
		if !isConflict(err) {
			return err
		}
		if m = now; !m.present() {
			return l.afterManifest(ctx, repo, d, m.Head, &seen) // another delete came first; it may die before its last steps
		}
	}
	return errContended("delete a manifest")
}

// afterManifest makes a manifest's death known: pushes that saw it alive look again, tags that they set go
// as well, and its subject no longer lists it. seen has tags as they were before.
func (l *Local) afterManifest(ctx context.Context, repo oci.Repository, d oci.Digest, head manifestHead, seen *sync.Map) error {
	if err := l.raiseFence(ctx, repo); err != nil {
		return err
	}
	err := l.eachTagOf(ctx, repo, d, func(ctx context.Context, name oci.Tag) error {
		before, known := seen.Load(name)
		if !known {
			return l.passTag(ctx, repo, name, d, head.Generation, nil)
		}
		tag := before.(stored[tagHead])
		return l.passTag(ctx, repo, name, d, head.Generation, &tag)
	})
	if err != nil || head.Subject == "" {
		return err
	}
	return l.dropReferrer(ctx, repo, head.Subject, d, head.Generation)
}

// redelete answers a delete of what is not there. A young tombstone may be of a delete that died half
// way: its last steps are done once more.
func (l *Local) redelete(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead]) error {
	if m.is(dead) && l.records.Now().Sub(m.Modified) < l.ages.Request {
		if err := l.afterManifest(ctx, repo, d, m.Head, &sync.Map{}); err != nil {
			return err
		}
	}
	return errManifestUnknown(oci.Reference{Digest: d})
}

// eachTagOf calls do, in parallel, for every tag that ever held a manifest: its markers name them.
func (l *Local) eachTagOf(ctx context.Context, repo oci.Repository, d oci.Digest, do func(context.Context, oci.Tag) error) error {
	prefix := markerPrefix(repo, d)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for entry, err := range l.records.List(gctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		name := oci.Tag(strings.TrimPrefix(string(entry.Key), string(prefix)))
		g.Go(func() error { return do(gctx, name) })
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

// buryTagOf buries a tag that holds a manifest, and returns the tag as it is then.
func (l *Local) buryTagOf(ctx context.Context, repo oci.Repository, name oci.Tag, d oci.Digest) (stored[tagHead], error) {
	tag, err := read[tagHead](ctx, l, tagKey(repo, name))
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return tag, err
		}
		if !tag.present() || tag.Head.Digest != d {
			return tag, nil
		}
		if tag, err = l.buryTag(ctx, repo, name, tag); err == nil {
			return tag, nil
		}
	}
	return tag, errContended("delete a tag")
}

// passTag writes a tag, as it was read before or else is read now, once a life of its manifest has ended: a tag that was set in a life
// that is over is buried, any other only gets a new version, so that a push that read it during that life
// cannot set it any more without looking at the manifest.
func (l *Local) passTag(ctx context.Context, repo oci.Repository, name oci.Tag, d oci.Digest, ended string, before *stored[tagHead]) error {
	key := tagKey(repo, name)
	var tag stored[tagHead]
	var err error
	if before != nil {
		tag = *before
	} else {
		tag, err = read[tagHead](ctx, l, key)
	}
	for range rounds(ctx) {
		if err != nil && !isConflict(err) {
			return err
		}
		switch {
		case tag.present() && tag.Head.Digest == d:
			var over bool
			if over, err = l.isOver(ctx, repo, tag, ended); err != nil || !over {
				return err
			}
			tag, err = l.buryTag(ctx, repo, name, tag)
		case tag.is(live, dead):
			tag, err = swap(ctx, l, key, tag, tag.state)
		default:
			tag, err = l.buryTag(ctx, repo, name, tag)
		}
		if err == nil {
			return nil
		}
	}
	return errContended("delete a tag")
}

// isOver reports whether a tag was set in a life of its manifest that is over: the one that has just ended, or another.
func (l *Local) isOver(ctx context.Context, repo oci.Repository, tag stored[tagHead], ended string) (bool, error) {
	if tag.Head.Generation == ended {
		return true, nil
	}
	m, err := read[manifestHead](ctx, l, manifestKey(repo, tag.Head.Digest))
	return !m.present() || m.Head.Generation != tag.Head.Generation, err
}

// buryTag swaps a tag to a tombstone that says what it named.
func (l *Local) buryTag(ctx context.Context, repo oci.Repository, name oci.Tag, tag stored[tagHead]) (stored[tagHead], error) {
	head := tagHead{Digest: tag.Head.Digest, By: oci.Clip(caller(ctx))}
	head.State = dead
	return write(ctx, l, tagKey(repo, name), tag, head, nil, false)
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
