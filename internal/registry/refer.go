package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// lookAtReferrers reads the subject's referrers before anything is written, so that a manifest for which
// there is no room is refused without a trace.
func (p *push) lookAtReferrers(ctx context.Context) (err error) {
	key := format.ReferrersKey(p.repo, p.manifest.Subject.Digest)
	if p.others, err = read[referrersHead](ctx, p.l, key); err != nil {
		return err
	}
	list := p.enter(strings.Repeat("0", 32), slices.Clone(p.others.Head.List))
	return checkRoom(p.manifest.Subject.Digest, referrersHead{List: list})
}

// checkRoom refuses a list of referrers that a record does not hold.
func checkRoom(subject oci.Digest, head referrersHead) error {
	if value, err := format.Encode(&head, nil); err != nil || len(value) > format.MaxReferrersBytes {
		return oci.Errorf(oci.ManifestInvalid, "the referrers of %s take more than %d bytes: delete some of them first", subject, format.MaxReferrersBytes).With(oci.TooLarge)
	}
	return nil
}

// enter enters the manifest, in one of its lives, into a list of referrers.
func (p *push) enter(generation string, list []referrer) []referrer {
	entry := referrer{Generation: generation, Descriptor: oci.Descriptor{
		MediaType:    p.manifest.MediaType,
		Digest:       p.digest,
		Size:         int64(len(p.in.Body)),
		ArtifactType: p.manifest.ArtifactType,
		Annotations:  p.manifest.Annotations,
	}}
	for i, r := range list {
		if r.Descriptor.Digest == p.digest {
			list[i] = entry
			return list
		}
	}
	return append(list, entry)
}

// refer enters the manifest into its subject's referrers.
func (p *push) refer(ctx context.Context) error {
	if p.manifest.Subject == nil {
		return nil
	}
	looked := false
	return p.l.changeReferrers(ctx, p.repo, p.manifest.Subject.Digest, p.others, func(list []referrer) ([]referrer, error) {
		if looked { // and somebody has changed the list since
			if err := p.lives(ctx); err != nil {
				return nil, err
			}
		}
		if p.late() {
			return nil, errLate()
		}
		looked = true
		return p.enter(p.stored.Head.Generation, list), nil
	})
}

// dropReferrer takes the entry of a manifest out of a subject's referrers when its life has ended. It writes the list also when there is
// none, so that a push that read the list before, and is about to enter the manifest, looks again.
func (l *Local) dropReferrer(ctx context.Context, repo oci.Repository, subject, d oci.Digest, ended string) error {
	old, err := read[referrersHead](ctx, l, format.ReferrersKey(repo, subject))
	if err != nil {
		return err
	}
	looked := false
	err = l.changeReferrers(ctx, repo, subject, old, func(list []referrer) ([]referrer, error) {
		i := slices.IndexFunc(list, func(r referrer) bool { return r.Descriptor.Digest == d })
		if i < 0 && looked {
			return nil, errPassed
		}
		if looked = true; i < 0 {
			return list, nil
		}
		over, err := l.isOver(ctx, repo, d, list[i].Generation, ended)
		if over {
			list = slices.Delete(list, i, i+1)
		}
		return list, err
	})
	if errors.Is(err, errPassed) {
		return nil
	}
	return err
}

// errPassed says that somebody else has written a list since it was read, and that there is nothing to take out of it.
var errPassed = errors.New("registry: the list was written by another")

// changeReferrers swaps a subject's referrers, which were read as old at any time before. change is called again after each lost
// race, and may change its argument.
func (l *Local) changeReferrers(ctx context.Context, repo oci.Repository, subject oci.Digest, old stored[referrersHead], change func([]referrer) ([]referrer, error)) error {
	key := format.ReferrersKey(repo, subject)
	for range rounds(ctx) {
		list, err := change(slices.Clone(old.Head.List))
		if err != nil {
			return err
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
