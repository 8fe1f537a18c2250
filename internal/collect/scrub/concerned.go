package scrub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// tellOfBlob tells of a damaged blob that some repository has. Errors: only that ctx has ended; then nothing was told.
func (r *round) tellOfBlob(ctx context.Context, damage Damage) error {
	repos, more, err := r.repositoriesOf(ctx, damage.Digest)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && len(repos) == 0 && damage.Kind == Marked {
		return nil // it was deleted everywhere
	}
	damage.Repositories, damage.More = repos, more
	for _, repo := range repos {
		if err != nil {
			break
		}
		err = r.addTags(ctx, &damage, repo, func(n *names) bool { return slices.Contains(n.blobs, damage.Digest) }, nil)
	}
	return r.tellUnlessEnded(ctx, damage, err)
}

// tellOfManifest tells of a damaged manifest. cause is why its record cannot be read, if it cannot. Errors: as tellOfBlob.
func (r *round) tellOfManifest(ctx context.Context, damage Damage, repo oci.Repository, cause error) error {
	err := r.addTags(ctx, &damage, repo, nil, map[oci.Digest]bool{damage.Digest: true})
	if cause != nil {
		err = cause
	}
	return r.tellUnlessEnded(ctx, damage, err)
}

func (r *round) tellUnlessEnded(ctx context.Context, damage Damage, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	damage.More = damage.More || err != nil
	r.tell(ctx, damage, err)
	return nil
}

// tell logs a damage, with what kept the round from learning more of it, and adds it to the report.
func (r *round) tell(ctx context.Context, damage Damage, err error) {
	attrs := []any{"digest", damage.Digest, "segment", damage.Segment, "repositories", damage.Repositories, "tags", damage.Tags, "kind", damage.Kind, "key", damage.Key, "more", damage.More}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	switch log := r.deps.Log.With(attrs...); damage.Kind {
	case Record:
		log.ErrorContext(ctx, "a stored record cannot be read")
	case Manifest, Tag:
		log.ErrorContext(ctx, "a stored manifest is damaged")
	default:
		log.ErrorContext(ctx, "a stored blob is damaged")
	}
	report := &r.progress.Report
	report.DamagedTotal++
	if len(report.Damaged) < namedDamages {
		report.Damaged = append(report.Damaged, damage)
	}
	if damage.Kind != Marked {
		r.deps.Counters.Damaged.Add(1)
	}
}

// repositoriesOf returns the first repositories that have a blob, damaged or not, and whether there are more.
func (r *round) repositoriesOf(ctx context.Context, d oci.Digest) (repos []oci.Repository, more bool, err error) {
	prefix := format.LinkPrefix(d)
	for entry, err := range r.deps.Records.Records.List(ctx, prefix, "") {
		if err != nil {
			return repos, true, fmt.Errorf("scrub: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		link, err := read[format.Link](ctx, r, entry.Key)
		if err != nil {
			return repos, true, err
		}
		if !link.Is(format.Live, format.Condemned, format.Corrupt) {
			continue
		}
		if len(repos) == namedRepositories {
			return repos, true, nil
		}
		repos = append(repos, format.UnescapeRepository(strings.TrimPrefix(string(entry.Key), string(prefix))))
	}
	return repos, false, nil
}

// names is what a manifest refers to.
type names struct{ blobs, children []oci.Digest }

// addTags adds the tags of a repository that need something: those of the manifests that direct chooses, and of those in needed, and of
// all indexes over them. It reads all manifests of the repository, and again, as far as they are not remembered, for each level of indexes.
func (r *round) addTags(ctx context.Context, damage *Damage, repo oci.Repository, direct func(*names) bool, needed map[oci.Digest]bool) error {
	if needed == nil {
		needed = map[oci.Digest]bool{}
	}
	over := func(n *names) bool {
		return slices.ContainsFunc(n.children, func(d oci.Digest) bool { return needed[d] })
	}
	choose := over
	if direct != nil {
		choose = func(n *names) bool { return direct(n) || over(n) }
	}
	for more := true; more; choose = over {
		before, indexes := len(needed), false
		if err := r.eachManifest(ctx, repo, func(d oci.Digest, n *names) {
			indexes = indexes || len(n.children) > 0
			if choose(n) {
				needed[d] = true
			}
		}); err != nil {
			return err
		}
		more = indexes && len(needed) > before
	}
	for _, d := range slices.Sorted(maps.Keys(needed)) {
		if err := r.addTagsOf(ctx, damage, repo, d); err != nil {
			return err
		}
	}
	return nil
}

// eachManifest calls do for every manifest of a repository that readers see.
func (r *round) eachManifest(ctx context.Context, repo oci.Repository, do func(oci.Digest, *names)) error {
	prefix := format.ManifestPrefix(repo)
	for entry, err := range r.deps.Records.Records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("scrub: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		d, err := format.PartDigest(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if err != nil {
			continue // the round comes by the key itself
		}
		n, err := r.namesIn(ctx, entry, d)
		if err != nil {
			return err
		}
		do(d, n)
	}
	return nil
}

// namesIn returns what a manifest refers to, as remembered by its digest, which other repositories may have too. One that is gone or damaged
// refers to nothing; the round comes by its record itself.
func (r *round) namesIn(ctx context.Context, entry record.Entry, d oci.Digest) (*names, error) {
	if n, ok := r.parsed.Get(d); ok {
		return n, nil
	}
	if err := r.pace(ctx, entry.Size); err != nil {
		return nil, err
	}
	m, err := read[format.Manifest](ctx, r, entry.Key)
	if err != nil && !unreadable(ctx, err) {
		return nil, err
	}
	if err != nil || !m.Present() || !isOf(d, m.Body) {
		return &names{}, nil
	}
	parsed, err := oci.ParseManifest(m.Head.MediaType, m.Body)
	if err != nil {
		return &names{}, nil //nolint:nilerr // no push has stored it so; there is nothing to learn from it
	}
	n := &names{}
	for _, ref := range slices.Concat(parsed.Blobs, parsed.Foreign) {
		n.blobs = append(n.blobs, ref.Digest)
	}
	for _, ref := range parsed.Children {
		n.children = append(n.children, ref.Digest)
	}
	r.parsed.Add(d, n)
	return n, nil
}

// addTagsOf adds the tags that name a manifest now. Its markers are all tags that ever did.
func (r *round) addTagsOf(ctx context.Context, damage *Damage, repo oci.Repository, d oci.Digest) error {
	prefix := format.MarkerPrefix(repo, d)
	for entry, err := range r.deps.Records.Records.List(ctx, prefix, "") {
		if err != nil {
			return fmt.Errorf("scrub: list %s: %w", prefix, err)
		}
		tag := oci.Tag(strings.TrimPrefix(string(entry.Key), string(prefix)))
		t, err := read[format.Tag](ctx, r, format.TagKey(repo, tag))
		if err != nil && !unreadable(ctx, err) {
			return err
		}
		name := string(repo) + ":" + string(tag)
		if err != nil || !t.Present() || t.Head.Digest != d || slices.Contains(damage.Tags, name) {
			continue
		}
		if len(damage.Tags) == namedTags {
			damage.More = true
			return nil
		}
		damage.Tags = append(damage.Tags, name)
	}
	return nil
}
