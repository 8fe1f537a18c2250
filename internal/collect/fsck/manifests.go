package fsck

import (
	"context"
	"maps"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// lookAtManifest finds what a manifest lacks. A push that is refused because something was deleted meanwhile leaves a manifest that no tag
// leads to; reachable says that one does.
func (c *checker) lookAtManifest(repo oci.Repository, d oci.Digest, reachable bool) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key := format.ManifestKey(repo, d)
		m, err := load[format.Manifest](ctx, v, key)
		if err != nil || !m.Present() || m.content.manifest == nil || !m.content.matches {
			return nil, err
		}
		l := &lookup{c: c, v: v, repo: repo, key: key, manifest: m, reachable: reachable}
		seen := map[oci.Digest]int64{}
		for _, ref := range m.content.manifest.Blobs {
			if size, ok := seen[ref.Digest]; ok && size == ref.Size {
				continue
			}
			seen[ref.Digest] = ref.Size
			if err := l.blob(ctx, ref); err != nil {
				return nil, err
			}
		}
		clear(seen)
		for _, ref := range m.content.manifest.Children {
			if size, ok := seen[ref.Digest]; ok && size == ref.Size {
				continue
			}
			seen[ref.Digest] = ref.Size
			if err := l.child(ctx, ref); err != nil {
				return nil, err
			}
		}
		return l.found, l.subject(ctx, d)
	}
}

// lookup is a look at one manifest.
type lookup struct {
	c         *checker
	v         *view
	repo      oci.Repository
	key       record.Key
	manifest  *item[format.Manifest]
	reachable bool
	found     []Finding
}

func (l *lookup) lacks(kind Kind, key record.Key, ref oci.Ref, f facts) {
	if !l.reachable {
		kind = ManifestRefused
	}
	l.found = append(l.found, findf(kind, keysOf(l.key, key), "%s is %s in %s, and it is %s", ref.Field, ref.Digest, l.repo, describe(f)))
}

// blob looks for a link. That of what a settled manifest refers to cannot die: who deletes looks at the manifests first.
func (l *lookup) blob(ctx context.Context, ref oci.Ref) error {
	key := format.LinkKey(l.repo, ref.Digest)
	link, err := load[format.Link](ctx, l.v, key)
	switch {
	case err != nil || link.bad != nil:
		return err
	case !link.Present():
		if l.c.settled(l.manifest.Stamp, link.Stamp) {
			l.lacks(ManifestBlobMissing, key, ref, link.facts)
		}
	case link.Head.Size != ref.Size:
		return l.wrongSize(ctx, key, ref, link.Head.Size)
	}
	return nil
}

// wrongSize finds a reference that says another size than what it refers to has. When the link is what is wrong it is a finding of its own.
func (l *lookup) wrongSize(ctx context.Context, key record.Key, ref oci.Ref, size int64) error {
	rec, err := load[format.Blob](ctx, l.v, format.BlobKey(ref.Digest))
	if err != nil || rec.Present() && rec.Head.Size != size {
		return err
	}
	l.found = append(l.found, findf(ReferenceSizeWrong, keysOf(l.key, key), "%s says %d bytes, there are %d", ref.Field, ref.Size, size))
	return nil
}

// child looks for a manifest of an index, which users may delete.
func (l *lookup) child(ctx context.Context, ref oci.Ref) error {
	key := format.ManifestKey(l.repo, ref.Digest)
	child, err := load[format.Manifest](ctx, l.v, key)
	switch {
	case err != nil || child.bad != nil:
		return err
	case !child.Present() && !l.c.settled(l.manifest.Stamp, child.Stamp):
	case child.Is(format.Dead):
		l.lacks(ManifestChildDeleted, key, ref, child.facts)
	case !child.Present():
		l.lacks(ManifestChildMissing, key, ref, child.facts)
	case child.content.matches && child.content.size != ref.Size:
		l.found = append(l.found, findf(ReferenceSizeWrong, keysOf(l.key, key), "%s says %d bytes, there are %d", ref.Field, ref.Size, child.content.size))
	}
	return nil
}

// subject looks whether the manifest is listed. A push enters it after it was written.
func (l *lookup) subject(ctx context.Context, d oci.Digest) error {
	subject := l.manifest.content.manifest.Subject
	if subject == nil {
		return nil
	}
	key := format.ReferrersKey(l.repo, subject.Digest)
	list, err := load[format.Referrers](ctx, l.v, key)
	if err != nil || list.bad != nil {
		return err
	}
	for _, entry := range list.Head.List {
		if entry.Descriptor.Digest == d && entry.Generation == l.manifest.Head.Generation {
			return nil
		}
	}
	if l.c.settled(l.manifest.Stamp, list.Stamp) {
		l.found = append(l.found, findf(ReferrerMissing, keysOf(key, l.key), "%s does not list %s, whose subject it is", subject.Digest, d))
	}
	return nil
}

// lookAtReferrers finds entries that the list of a subject should not have, and such that say something else than the manifest.
func (c *checker) lookAtReferrers(repo oci.Repository, subject oci.Digest) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key := format.ReferrersKey(repo, subject)
		list, err := load[format.Referrers](ctx, v, key)
		if err != nil {
			return nil, err
		}
		var found []Finding
		seen := map[oci.Digest]bool{}
		for _, entry := range list.Head.List {
			d := entry.Descriptor.Digest
			if !isDigest(d) {
				found = append(found, findf(IllegalField, keysOf(key), "it lists %q, which is no digest", oci.Clip(string(d))))
				continue
			}
			keys := keysOf(key, format.ManifestKey(repo, d))
			if seen[d] {
				found = append(found, findf(ReferrerTwice, keys, "%s is listed more than once", d))
				continue
			}
			seen[d] = true
			m, err := load[format.Manifest](ctx, v, keys[1])
			if err != nil {
				return nil, err
			}
			if m.bad != nil || m.Present() && (!m.content.matches || m.content.manifest == nil) {
				continue // a finding of its own
			}
			want, ok := entryOf(subject, d, m)
			switch {
			case !ok || want.Generation != entry.Generation:
				if c.settled(list.Stamp, m.Stamp) {
					found = append(found, findf(ReferrerStale, keys, "it lists a life %q of %s, which is %s, in its life %q", entry.Generation, d, describe(m.facts), m.Head.Generation))
				}
			case !sameDescriptor(entry.Descriptor, want.Descriptor):
				found = append(found, findf(ReferrerDiffers, keys, "it lists %s as %+v, it is %+v", d, entry.Descriptor, want.Descriptor))
			}
		}
		return found, nil
	}
}

// entryOf is the entry of a manifest in the list of a subject; false when it has none there.
func entryOf(subject, d oci.Digest, m *item[format.Manifest]) (format.Referrer, bool) {
	if !m.Present() || m.content.manifest == nil || m.content.manifest.Subject == nil || m.content.manifest.Subject.Digest != subject {
		return format.Referrer{}, false
	}
	of := m.content.manifest
	return format.Referrer{Generation: m.Head.Generation, Descriptor: oci.Descriptor{
		MediaType: of.MediaType, Digest: d, Size: m.content.size, ArtifactType: of.ArtifactType, Annotations: of.Annotations,
	}}, true
}

// sameDescriptor compares what a list of referrers says of a manifest.
func sameDescriptor(a, b oci.Descriptor) bool {
	return a.MediaType == b.MediaType && a.Digest == b.Digest && a.Size == b.Size && a.ArtifactType == b.ArtifactType && maps.Equal(a.Annotations, b.Annotations)
}
