package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

func errManifestUnknown(ref oci.Reference) error {
	return &oci.Error{Code: oci.ManifestUnknown, Message: "the repository does not have this manifest", Detail: oci.Field{Field: "reference", Got: ref.String()}}
}

// Resolve implements Manifests with one request; by tag with two when the manifest has more than 256 KiB.
func (l *Local) Resolve(ctx context.Context, repo oci.Repository, ref oci.Reference) (*Stored, error) {
	if ref.Digest != "" {
		return l.resolveDigest(ctx, repo, ref, ref.Digest, "")
	}
	tag, err := read[tagHead](ctx, l, format.TagKey(repo, ref.Tag))
	if err != nil {
		return nil, err
	}
	for tag.Present() && tag.Head.Size > format.InlineBytes {
		found, err := l.resolveDigest(ctx, repo, ref, tag.Head.Digest, tag.Head.Generation)
		if !errors.Is(err, oci.ErrManifestUnknown) {
			return found, err
		}
		// The tag may have moved since, and what it named have been deleted: that is no 404.
		before := tag.Version
		if tag, err = read[tagHead](ctx, l, format.TagKey(repo, ref.Tag)); err != nil {
			return nil, err
		}
		if tag.Version == before {
			break
		}
	}
	if !tag.Present() || tag.Head.Size > format.InlineBytes {
		return nil, errManifestUnknown(ref)
	}
	return verified(tag.Head.Digest, tag.Head.MediaType, tag.Body)
}

// resolveDigest reads a manifest, in one of its lives or, for "", in any.
func (l *Local) resolveDigest(ctx context.Context, repo oci.Repository, ref oci.Reference, d oci.Digest, life string) (*Stored, error) {
	m, err := read[manifestHead](ctx, l, format.ManifestKey(repo, d))
	if err != nil {
		return nil, err
	}
	if !m.Present() || life != "" && m.Head.Generation != life {
		return nil, errManifestUnknown(ref)
	}
	return verified(d, m.Head.MediaType, m.Body)
}

func verified(d oci.Digest, mediaType string, body []byte) (*Stored, error) {
	if !oci.IsDigest(d, body) {
		return nil, fmt.Errorf("registry: the stored manifest %s has another digest: %w", d, errDamaged(d))
	}
	return &Stored{Digest: d, MediaType: mediaType, Body: body}, nil
}

// Referrers implements Lists with one request.
func (l *Local) Referrers(ctx context.Context, repo oci.Repository, subject oci.Digest) ([]oci.Descriptor, error) {
	s, err := read[referrersHead](ctx, l, format.ReferrersKey(repo, subject))
	if err != nil {
		return nil, err
	}
	if !s.Present() {
		return nil, nil
	}
	out := make([]oci.Descriptor, 0, len(s.Head.List))
	for _, r := range s.Head.List {
		out = append(out, r.Descriptor)
	}
	slices.SortFunc(out, func(a, b oci.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return out, nil
}

// Tags implements Lists. The store's list order is the answer's order.
func (l *Local) Tags(ctx context.Context, repo oci.Repository, last string, n int) (Page[oci.Tag], error) {
	prefix := format.TagPrefix(repo)
	page, err := listNames(ctx, l, prefix, last, n, func(part string) oci.Tag { return oci.Tag(part) })
	if err != nil || len(page.Names) > 0 {
		return page, err
	}
	marker, err := read[markerHead](ctx, l, format.RepositoryKey(repo))
	if err != nil {
		return page, err
	}
	if !marker.Present() {
		return page, &oci.Error{Code: oci.NameUnknown, Message: "there is no such repository", Detail: oci.Field{Field: "name", Got: oci.Clip(string(repo))}}
	}
	return page, nil
}

// Repositories implements Lists.
func (l *Local) Repositories(ctx context.Context, last string, n int) (Page[oci.Repository], error) {
	return listNames(ctx, l, format.PrefixRepositories, format.EscapeRepository(oci.Repository(last)), n, format.UnescapeRepository)
}

// listNames lists the live names below a prefix until n of them and one more are found. It reads sizes
// only: 512 bytes means dead.
func listNames[T ~string](ctx context.Context, l *Local, prefix record.Key, last string, n int, name func(string) T) (Page[T], error) {
	var page Page[T]
	var after record.Key
	if last != "" {
		after = prefix + record.Key(last)
	}
	for entry, err := range l.records.List(record.Expect(ctx, n+1), prefix, after) {
		if err != nil {
			return Page[T]{}, fmt.Errorf("registry: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		if len(page.Names) == n {
			page.More = true
			break
		}
		page.Names = append(page.Names, name(strings.TrimPrefix(string(entry.Key), string(prefix))))
	}
	return page, nil
}
