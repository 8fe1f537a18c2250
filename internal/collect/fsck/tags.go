package fsck

import (
	"context"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// lookAtTag finds what is wrong between a tag and its manifest. The marker is written before the tag, and the manifest before both; a delete
// kills the manifest first, and passes its tags then (ADR 4).
func (c *checker) lookAtTag(repo oci.Repository, name oci.Tag) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		key := format.TagKey(repo, name)
		tag, err := load[format.Tag](ctx, v, key)
		if err != nil || !tag.Present() || !isDigest(tag.Head.Digest) {
			return nil, err
		}
		var found []Finding
		marker, err := load[format.Marker](ctx, v, format.MarkerKey(repo, tag.Head.Digest, name))
		if err != nil {
			return nil, err
		}
		if !marker.exists {
			found = append(found, findf(TagMarkerMissing, keysOf(format.MarkerKey(repo, tag.Head.Digest, name), key), "%s:%s names %s, and no marker says so", repo, name, tag.Head.Digest))
		}
		manifest := format.ManifestKey(repo, tag.Head.Digest)
		m, err := load[format.Manifest](ctx, v, manifest)
		if err != nil {
			return nil, err
		}
		keys := keysOf(key, manifest)
		switch {
		case m.bad != nil || m.Present() && !m.content.matches: // a finding of its own
		case m.Is(format.Dead), m.Present() && tag.Head.Generation != "" && tag.Head.Generation != m.Head.Generation:
			if c.settled(tag.Stamp, m.Stamp) {
				found = append(found, findf(TagManifestDeleted, keys, "%s:%s was set in the life %q of %s, which is %s, in its life %q",
					repo, name, tag.Head.Generation, tag.Head.Digest, describe(m.facts), m.Head.Generation))
			}
		case !m.Present():
			if c.settled(tag.Stamp, m.Stamp) {
				found = append(found, findf(TagManifestMissing, keys, "%s:%s names %s, which is %s", repo, name, tag.Head.Digest, describe(m.facts)))
			}
		case tag.Head.MediaType != m.Head.MediaType || tag.Head.Size != m.content.size:
			found = append(found, findf(TagDiffers, keys, "the tag says %q of %d bytes, the manifest is %q of %d", tag.Head.MediaType, tag.Head.Size, m.Head.MediaType, m.content.size))
		}
		return found, nil
	}
}
