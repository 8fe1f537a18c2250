package scrub

import (
	"context"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// checkOfRepository checks the bytes that a manifest or a tag carries. What else a repository has is passed over. Nothing is changed.
func (r *round) checkOfRepository(ctx context.Context, entry record.Entry) (answered bool, err error) {
	parts := strings.Split(string(entry.Key), "/") // r, h2, repository, kind, name
	if len(parts) != 5 {
		return false, nil
	}
	repo := format.UnescapeRepository(parts[2])
	switch parts[3] {
	case "m":
		return r.checkManifest(ctx, entry, repo)
	case "t":
		return r.checkTag(ctx, entry, repo, oci.Tag(parts[4]))
	}
	return false, nil
}

func (r *round) checkManifest(ctx context.Context, entry record.Entry, repo oci.Repository) (bool, error) {
	d, err := digestOf(entry.Key, func(d oci.Digest) record.Key { return format.ManifestKey(repo, d) })
	if err != nil {
		r.tell(ctx, Damage{Kind: Record, Key: string(entry.Key)}, err)
		return false, nil
	}
	damage := Damage{Kind: Manifest, Digest: d, Key: string(entry.Key), Repositories: []oci.Repository{repo}}
	m, err := readTwice(ctx, r, entry, func(m format.Stored[format.Manifest]) bool { return isOf(d, m.Body) })
	switch {
	case unreadable(ctx, err):
		damage.Kind = Record
	case err != nil:
		return false, err
	case !m.Present():
		return false, nil
	case isOf(d, m.Body):
		r.progress.Report.Manifests++
		return true, nil
	}
	return true, r.tellOfManifest(ctx, damage, repo, err)
}

func (r *round) checkTag(ctx context.Context, entry record.Entry, repo oci.Repository, name oci.Tag) (bool, error) {
	damage := Damage{Kind: Tag, Key: string(entry.Key), Repositories: []oci.Repository{repo}, Tags: []string{string(repo) + ":" + string(name)}}
	whole := func(t format.Stored[format.Tag]) bool {
		return t.Head.Size > format.InlineBytes || isOf(t.Head.Digest, t.Body)
	}
	t, err := readTwice(ctx, r, entry, whole)
	switch {
	case unreadable(ctx, err):
		damage.Kind = Record
	case err != nil:
		return false, err
	case !t.Present():
		return false, nil
	case whole(t):
		r.progress.Report.Manifests++
		return true, nil
	}
	damage.Digest = t.Head.Digest
	r.tell(ctx, damage, err)
	return true, nil
}

// readTwice reads a value, and once more when it is present and not whole, or cannot be decoded.
func readTwice[H any, P format.HeadOf[H]](ctx context.Context, r *round, entry record.Entry, whole func(format.Stored[H]) bool) (v format.Stored[H], err error) {
	for range 2 {
		if err := r.pace(ctx, entry.Size); err != nil {
			return v, err
		}
		if v, err = read[H, P](ctx, r, entry.Key); err != nil && !unreadable(ctx, err) || err == nil && (!v.Present() || whole(v)) {
			return v, err
		}
	}
	return v, err
}

// isOf reports whether bytes are a digest's. A digest that is none, in a damaged head, is of nothing.
func isOf(d oci.Digest, body []byte) bool {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return false
	}
	return d.Algorithm().FromBytes(body) == d
}
