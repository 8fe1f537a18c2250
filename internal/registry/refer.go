package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// lookAtReferrers reads the subject's referrers before anything is written, so that a manifest for which
// there is no room is refused without a trace.
func (p *push) lookAtReferrers(ctx context.Context) (err error) {
	key := referrersKey(p.repo, p.manifest.Subject.Digest)
	if p.others, err = read[referrersHead](ctx, p.l, key); err != nil {
		return err
	}
	list, _ := p.enter(strings.Repeat("0", 32))(slices.Clone(p.others.Head.List))
	return checkRoom(p.manifest.Subject.Digest, referrersHead{List: list})
}

// checkRoom refuses a list of referrers that a record does not hold.
func checkRoom(subject oci.Digest, head referrersHead) error {
	if value, err := encode(&head, nil); err != nil || len(value) > maxReferrersBytes {
		return oci.Errorf(oci.ManifestInvalid, "the referrers of %s take more than %d bytes: delete some of them first", subject, maxReferrersBytes).With(oci.TooLarge)
	}
	return nil
}

// enter returns the change that enters the manifest, in one of its lives, into a list of referrers.
func (p *push) enter(generation string) func([]referrer) ([]referrer, bool) {
	entry := referrer{Generation: generation, Descriptor: oci.Descriptor{
		MediaType:    p.manifest.MediaType,
		Digest:       p.digest,
		Size:         int64(len(p.in.Body)),
		ArtifactType: p.manifest.ArtifactType,
		Annotations:  p.manifest.Annotations,
	}}
	return func(list []referrer) ([]referrer, bool) {
		for i, r := range list {
			if r.Descriptor.Digest == p.digest {
				list[i] = entry
				return list, true
			}
		}
		return append(list, entry), true
	}
}

// refer enters the manifest into its subject's referrers, then makes sure that the manifest is still the
// one that was entered: else the entry is taken out again.
func (p *push) refer(ctx context.Context) error {
	subject, generation := p.manifest.Subject.Digest, p.stored.Head.Generation
	if err := p.l.changeReferrersFrom(ctx, p.repo, subject, p.others, p.enter(generation)); err != nil {
		return err
	}
	m, err := read[manifestHead](ctx, p.l, manifestKey(p.repo, p.digest))
	if err != nil {
		return err
	}
	if m.is(live) && m.Head.Generation == generation {
		return nil
	}
	if err := p.l.dropReferrer(ctx, p.repo, subject, p.digest, generation); err != nil {
		return err
	}
	return p.overtaken(m)
}

// dropReferrer takes the entry of one life of a manifest out of a subject's referrers.
func (l *Local) dropReferrer(ctx context.Context, repo oci.Repository, subject, d oci.Digest, generation string) error {
	return l.changeReferrers(ctx, repo, subject, func(list []referrer) ([]referrer, bool) {
		kept := slices.DeleteFunc(list, func(r referrer) bool {
			return r.Descriptor.Digest == d && r.Generation == generation
		})
		return kept, len(kept) < len(list)
	})
}

// changeReferrers swaps a subject's referrers. change may change its argument, and says whether there is
// anything to write.
func (l *Local) changeReferrers(ctx context.Context, repo oci.Repository, subject oci.Digest, change func([]referrer) ([]referrer, bool)) error {
	old, err := read[referrersHead](ctx, l, referrersKey(repo, subject))
	if err != nil {
		return err
	}
	return l.changeReferrersFrom(ctx, repo, subject, old, change)
}

// changeReferrersFrom is changeReferrers for a list that was read already, at any time before.
func (l *Local) changeReferrersFrom(ctx context.Context, repo oci.Repository, subject oci.Digest, old stored[referrersHead], change func([]referrer) ([]referrer, bool)) error {
	key := referrersKey(repo, subject)
	var err error
	for range rounds(ctx) {
		list, changed := change(slices.Clone(old.Head.List))
		if !changed {
			return nil
		}
		head := referrersHead{List: list}
		if err := checkRoom(subject, head); err != nil {
			return err
		}
		old, err = write(ctx, l, key, old, head, nil, false)
		if err == nil || !isConflict(err) {
			return err
		}
	}
	return errContended(fmt.Sprintf("change the referrers of %s", subject))
}
