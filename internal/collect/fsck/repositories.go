package fsck

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// checkRepositories checks one repository after the other. All that a repository has of its own is in memory meanwhile, without the bytes
// of manifests.
func (c *checker) checkRepositories(ctx context.Context) error {
	var keys []record.Key
	for entry, err := range c.store.Records.List(ctx, folderRepository, "") {
		if err != nil {
			return fmt.Errorf("fsck: list %s: %w", folderRepository, err)
		}
		if len(keys) > 0 && folderOf(keys[0]) != folderOf(entry.Key) {
			if err := c.checkRepository(ctx, keys); err != nil {
				return err
			}
			keys = nil
		}
		keys = append(keys, entry.Key)
	}
	if len(keys) > 0 {
		if err := c.checkRepository(ctx, keys); err != nil {
			return err
		}
	}
	return c.confirm(ctx)
}

// folderOf returns the first three parts of a key: a repository's folder.
func folderOf(key record.Key) string {
	parts := strings.SplitN(string(key), "/", 4)
	return strings.Join(parts[:min(len(parts), 3)], "/")
}

// repository is what was read of one.
type repository struct {
	c         *checker
	repo      oci.Repository
	view      *view
	keys      map[Class][]address
	reachable map[oci.Digest]bool
}

// checkRepository checks a repository with these keys.
func (c *checker) checkRepository(ctx context.Context, keys []record.Key) error {
	r := &repository{c: c, view: c.newView(), keys: map[Class][]address{}}
	for _, key := range keys {
		a, ok := parseKey(key)
		if !ok {
			c.suspectUnknown(key)
			continue
		}
		r.repo = a.repo
		r.keys[a.class] = append(r.keys[a.class], a)
	}
	if err := r.read(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if c.crowded() {
		return c.confirm(ctx)
	}
	return nil
}

// keyOf makes an address below r/ a key again.
func keyOf(a address) record.Key {
	switch a.class {
	case Manifests:
		return format.ManifestKey(a.repo, a.digest)
	case Tags:
		return format.TagKey(a.repo, a.tag)
	case Referrers:
		return format.ReferrersKey(a.repo, a.digest)
	case Markers:
		return format.MarkerKey(a.repo, a.digest, a.tag)
	}
	return format.FenceKey(a.repo)
}

// read reads all values, and the links of what the manifests refer to.
func (r *repository) read(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.c.cfg.Parallel)
	for class, all := range r.keys {
		r.c.count(class, int64(len(all)))
		for _, a := range all {
			g.Go(func() error {
				_, err := loadAny(gctx, r.view, keyOf(a), class)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	blobs := map[oci.Digest]bool{}
	err := r.manifests(ctx, func(_ oci.Digest, m *item[format.Manifest]) {
		for _, b := range m.content.manifest.Blobs {
			blobs[b.Digest] = true
		}
	})
	if err != nil {
		return err
	}
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(r.c.cfg.Parallel)
	for d := range blobs {
		g.Go(func() error {
			_, err := load[format.Link](gctx, r.view, format.LinkKey(r.repo, d))
			return err
		})
	}
	return g.Wait()
}

// manifests yields those that are there and can be read.
func (r *repository) manifests(ctx context.Context, yield func(oci.Digest, *item[format.Manifest])) error {
	for _, a := range r.keys[Manifests] {
		m, err := load[format.Manifest](ctx, r.view, keyOf(a))
		if err != nil {
			return err
		}
		if m.Present() && m.content.manifest != nil {
			yield(a.digest, m)
		}
	}
	return nil
}

// reach finds out to which manifests a tag leads: by its digest, by an index, by a subject's referrers. What no tag leads to is the collector's,
// whatever it lacks.
func (r *repository) reach(ctx context.Context) error {
	r.reachable = map[oci.Digest]bool{}
	var next []oci.Digest
	enter := func(d oci.Digest, generation string) error {
		m, err := load[format.Manifest](ctx, r.view, format.ManifestKey(r.repo, d))
		if err != nil || r.reachable[d] || !m.Present() || generation != "" && m.Head.Generation != generation {
			return err
		}
		r.reachable[d] = true
		next = append(next, d)
		return nil
	}
	for _, a := range r.keys[Tags] {
		tag, err := load[format.Tag](ctx, r.view, keyOf(a))
		if err == nil && tag.Present() && isDigest(tag.Head.Digest) {
			err = enter(tag.Head.Digest, tag.Head.Generation)
		}
		if err != nil {
			return err
		}
	}
	for len(next) > 0 {
		d := next[0]
		next = next[1:]
		if err := r.reachFrom(ctx, d, enter); err != nil {
			return err
		}
	}
	return nil
}

func (r *repository) reachFrom(ctx context.Context, d oci.Digest, enter func(oci.Digest, string) error) error {
	m, err := load[format.Manifest](ctx, r.view, format.ManifestKey(r.repo, d))
	if err != nil {
		return err
	}
	if m.content.manifest != nil {
		for _, child := range m.content.manifest.Children {
			if err := enter(child.Digest, ""); err != nil {
				return err
			}
		}
	}
	list, err := load[format.Referrers](ctx, r.view, format.ReferrersKey(r.repo, d))
	if err != nil {
		return err
	}
	for _, entry := range list.Head.List {
		if isDigest(entry.Descriptor.Digest) {
			if err := enter(entry.Descriptor.Digest, entry.Generation); err != nil {
				return err
			}
		}
	}
	return nil
}

// check makes all checks of what was read.
func (r *repository) check(ctx context.Context) error {
	var errs []error
	first := func(look look) { errs = append(errs, r.c.first(ctx, r.view, look)) }
	for class, all := range r.keys {
		for _, a := range all {
			first(r.c.lookAtKey(keyOf(a), a))
			switch class {
			case Manifests:
				first(r.c.lookAtManifest(r.repo, a.digest, r.reachable[a.digest]))
				first(r.c.lookAtFence(r.repo, a.digest))
			case Tags:
				first(r.c.lookAtTag(r.repo, a.tag))
			case Referrers:
				first(r.c.lookAtReferrers(r.repo, a.digest))
			}
		}
	}
	witness, err := r.witness(ctx)
	if err == nil && witness != nil {
		first(r.c.lookAtMarker(*witness))
	}
	return errors.Join(append(errs, err)...)
}

// witness is something for which the repository must be in the catalog: a tag, or else the manifest that was written first.
func (r *repository) witness(ctx context.Context) (*address, error) {
	for _, a := range r.keys[Tags] {
		tag, err := load[format.Tag](ctx, r.view, keyOf(a))
		if err != nil || tag.Present() {
			return &a, err
		}
	}
	var oldest *address
	var stamp record.Stamp
	err := r.manifests(ctx, func(d oci.Digest, m *item[format.Manifest]) {
		if oldest == nil || m.Modified.Before(stamp.Modified) {
			oldest, stamp = &address{class: Manifests, repo: r.repo, digest: d}, m.Stamp
		}
	})
	return oldest, err
}

// lookAtMarker finds a repository that has something and is not in the catalog. A push marks it while it writes the manifest, and before the tag.
func (c *checker) lookAtMarker(witness address) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key := format.RepositoryKey(witness.repo)
		marker, err := load[format.Marker](ctx, v, key)
		if err != nil || marker.Present() || marker.bad != nil {
			return nil, err
		}
		it, err := loadAny(ctx, v, keyOf(witness), witness.class)
		if err != nil || it.about().state != format.Live && it.about().state != format.Condemned || witness.class == Manifests && !c.settled(it.stamp()) {
			return nil, err
		}
		return []Finding{findf(RepositoryUnmarked, keysOf(key, keyOf(witness)), "%s has content, and its marker is %s", witness.repo, describe(marker.facts))}, nil
	}
}

// lookAtFence finds a manifest whose references were read under an epoch that the fence has not reached: fences only rise.
func (c *checker) lookAtFence(repo oci.Repository, d oci.Digest) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key, of := format.FenceKey(repo), format.ManifestKey(repo, d)
		m, err := load[format.Manifest](ctx, v, of)
		if err != nil || !m.Present() {
			return nil, err
		}
		fence, err := load[format.Fence](ctx, v, key)
		if err != nil || fence.bad != nil || fence.Head.Epoch >= m.Head.Epoch {
			return nil, err
		}
		return []Finding{findf(FenceBehind, keysOf(key, of), "the fence is at %d, %s was checked at %d", fence.Head.Epoch, d, m.Head.Epoch)}, nil
	}
}

// checkMarkers checks the markers of repositories by themselves.
func (c *checker) checkMarkers(ctx context.Context) error {
	p := c.newPool()
	for a, err := range c.addresses(ctx, format.PrefixRepositories) {
		if err != nil {
			return errors.Join(err, p.wait(ctx))
		}
		c.count(Repositories, 1)
		err := p.run(ctx, func(ctx context.Context) error {
			return c.first(ctx, c.newView(), c.lookAtKey(format.RepositoryKey(a.repo), a))
		})
		if err != nil {
			return err
		}
	}
	return p.wait(ctx)
}
