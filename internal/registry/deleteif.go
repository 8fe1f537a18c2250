package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// DeleteManifestIf implements Manifests by the collector's steps: condemn, raise the fence, look at the tags, kill or restore. Before the look it passes
// every tag that was ever set to the manifest, as the delete does after the kill (ADR 4), but for burying any: so a push that read its tag before cannot set it any
// more without looking at the manifest, which it finds condemned and rescues, so that the kill fails and all begins again; or dead. What
// a push has set before that is seen by the look. A process that dies on the way leaves the manifest condemned, which is present; the collector
// restores it or goes on. It costs five requests, and three for each tag that was ever set to the manifest, more than DeleteManifest.
func (l *Local) DeleteManifestIf(ctx context.Context, repo oci.Repository, d oci.Digest, allow func(tags []oci.Tag) error) error {
	ctx, cancel := l.bounded(context.WithoutCancel(ctx))
	defer cancel()
	key := format.ManifestKey(repo, d)
	for range rounds(ctx) {
		m, err := read[manifestHead](ctx, l, key)
		if err != nil {
			return err
		}
		if !m.Present() {
			return l.redelete(ctx, repo, d, m)
		}
		if err := l.askTags(ctx, repo, d, allow); err != nil { // what is refused for sure writes nothing
			return err
		}
		if m.Is(live) {
			if m, err = swap(ctx, l, key, m, condemned); isConflict(err) {
				continue
			} else if err != nil {
				return err
			}
		}
		if err := l.raiseFence(ctx, repo); err != nil {
			return err
		}
		if err := l.passTags(ctx, repo, d, ""); err != nil {
			return err
		}
		if err := l.askTags(ctx, repo, d, allow); err != nil {
			return l.restoreManifest(ctx, repo, d, m, err)
		}
		killed, err := l.kill(ctx, repo, d, m)
		if err != nil || killed {
			return err
		}
	}
	return errContended("delete a manifest")
}

// restoreManifest takes a condemned manifest back, and returns cause. Who has written it meanwhile has rescued it, or killed it.
func (l *Local) restoreManifest(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead], cause error) error {
	if _, err := swap(ctx, l, format.ManifestKey(repo, d), m, live); err != nil && !isConflict(err) {
		return err
	}
	return cause
}

// askTags tells allow all tags that name a manifest: its markers name all that ever did.
func (l *Local) askTags(ctx context.Context, repo oci.Repository, d oci.Digest, allow func([]oci.Tag) error) error {
	prefix := format.MarkerPrefix(repo, d)
	g := new(errgroup.Group)
	g.SetLimit(parallelReads)
	var mu sync.Mutex
	var tags []oci.Tag
	for entry, err := range l.records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("registry: list %s: %w", prefix, joinWait(g, err))
		}
		name := oci.Tag(strings.TrimPrefix(string(entry.Key), string(prefix)))
		g.Go(func() error {
			tag, err := read[tagHead](ctx, l, format.TagKey(repo, name))
			if err != nil || !tag.Present() || tag.Head.Digest != d {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			tags = append(tags, name)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.Sort(tags)
	return allow(tags)
}

// kill swaps a condemned manifest to dead and makes it known; false when it was written meanwhile, and is present.
func (l *Local) kill(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead]) (bool, error) {
	parsed := l.parsedOrEmpty(ctx, repo, d, m)
	head := manifestHead{MediaType: m.Head.MediaType, Epoch: m.Head.Epoch, Generation: m.Head.Generation}
	head.State = dead
	if parsed.Subject != nil {
		head.Subject = parsed.Subject.Digest
	}
	now, err := write(ctx, l, format.ManifestKey(repo, d), m, head, nil, false)
	switch {
	case err == nil:
		l.changed(repo, parsed.BlobDigests()...)
		return true, l.AfterManifest(ctx, repo, d, head)
	case !isConflict(err):
		return false, err
	case !now.Present():
		return true, l.AfterManifest(ctx, repo, d, head) // another delete came first; it may die before its last steps
	}
	return false, nil
}

// parsedOrEmpty is what a manifest says, nothing for one that is damaged at rest: that must not keep it for ever.
func (l *Local) parsedOrEmpty(ctx context.Context, repo oci.Repository, d oci.Digest, m stored[manifestHead]) *oci.Manifest {
	parsed, err := l.parsed(d, m.Head.MediaType, m.Body)
	if err != nil {
		l.log.ErrorContext(ctx, "a manifest that is damaged at rest is deleted; what it refers to is left to the collector's full pass", "repo", repo, "digest", d, "err", err)
		return &oci.Manifest{}
	}
	return parsed
}
