package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// PushManifest implements Manifests. The order of its steps is what the proofs of the protocol rest on:
// references, then the manifest, then the fence, then the subject, then the tags, then a last look at the
// manifest. Whatever is collected or deleted meanwhile is seen by one of the looks. The list of referrers and the tags are read before
// the manifest, and swapped from there: a delete writes all of them once the manifest is dead, so that a swap that
// succeeds comes before the delete has passed (ADR 4).
func (l *Local) PushManifest(ctx context.Context, repo oci.Repository, in Push) (*Pushed, error) {
	p := &push{tags: make([]pushedTag, len(in.Tags))}
	for i, t := range in.Tags {
		p.tags[i] = pushedTag{name: t}
	}
	return l.pushManifest(ctx, repo, in, p)
}

// pushManifest makes a push, in which only the tags are known yet.
func (l *Local) pushManifest(ctx context.Context, repo oci.Repository, in Push, p *push) (*Pushed, error) {
	if err := l.checkName(repo); err != nil {
		return nil, err
	}
	parsed, err := oci.ParseManifest(in.ContentType, in.Body)
	if err != nil {
		return nil, err
	}
	d := in.Digest
	if d == "" {
		d = digest.FromBytes(in.Body)
	} else if sum := d.Algorithm().FromBytes(in.Body); sum != d {
		return nil, &oci.Error{Code: oci.DigestInvalid, Message: "the manifest has another digest", Detail: oci.Field{Field: "digest", Got: string(sum), Want: string(d)}}
	}
	if s := parsed.Subject; s != nil && s.Digest == d {
		return nil, &oci.Error{Code: oci.ManifestInvalid, Message: "subject.digest: a manifest cannot be its own subject", Detail: oci.Field{Field: "subject.digest"}}
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	p.l, p.repo, p.in, p.manifest, p.digest = l, repo, in, parsed, d
	err = p.run(ctx)
	if err != nil || len(p.tags) == 0 {
		l.changed(repo) // nothing may ever name the manifest
	}
	if err != nil {
		return nil, err
	}
	out := &Pushed{Digest: d}
	if parsed.Subject != nil {
		out.Subject = parsed.Subject.Digest
	}
	return out, nil
}

type push struct {
	l        *Local
	repo     oci.Repository
	in       Push
	manifest *oci.Manifest
	digest   oci.Digest
	restores bool // the manifest is not written where it is gone, and the tags, which were read before, not set over what they are not any more

	epoch  uint64
	marker stored[markerHead]    // of the repository
	others stored[referrersHead] // of the subject
	known  bool                  // the repository marker is known to be live under epoch
	tags   []pushedTag
	stored stored[manifestHead] // as it was written or adopted
	since  time.Time            // the store's time before that
}

// pushedTag is a tag on its way: as it was read, and as this push wrote it.
type pushedTag struct {
	name oci.Tag
	tag  stored[tagHead]
	set  bool // tag is what this push wrote
}

// run pushes. A push never begins again: what was there to be seen, and was deleted, would be there once more. When all was done
// before the manifest was deleted, the push came first; else it is the client's to decide. It is, too, for a push with a condition: the delete may have one that
// the push would have broken.
func (p *push) run(ctx context.Context) error {
	err := p.steps(ctx)
	if !errors.Is(err, ErrDeleted) {
		return err
	}
	if err := p.withdraw(ctx); err != nil {
		return err
	}
	whole := !slices.ContainsFunc(p.tags, func(t pushedTag) bool { return !t.set })
	if whole && (len(p.tags) > 0 || !p.late()) && p.in.Allow == nil {
		return nil
	}
	if p.restores {
		return errGone(p.digest, stored[manifestHead]{})
	}
	return &oci.Error{Code: oci.Unavailable, Message: "the manifest was deleted while it was pushed: push it again if it is to stay", Err: err}
}

// late reports whether the manifest is so old that the collector may take it for want of a tag.
func (p *push) late() bool { return p.l.records.Now().Sub(p.since) > p.l.ages.TagAfterManifest }

func errLate() error {
	return &oci.Error{Code: oci.Unavailable, Message: "the push took so long that its manifest may be collected before it has a tag: push it again"}
}

func (p *push) steps(ctx context.Context) error {
	var err error
	if p.epoch, err = p.l.epoch(ctx, p.repo); err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.writeManifest(ctx); err != nil {
		return err
	}
	now, err := p.l.readFence(ctx, p.repo)
	if err != nil {
		return err
	}
	if now != p.epoch {
		again := &references{l: p.l, repo: p.repo, epoch: now, again: true}
		if err := again.check(ctx, p.manifest); err != nil {
			return err
		}
		if err := p.markAgain(ctx); err != nil {
			return err
		}
		// The delete that moved the fence may have listed the tags' markers before they were written.
		if err := p.lives(ctx); err != nil {
			return err
		}
	}
	if err := p.refer(ctx); err != nil {
		return err
	}
	if err := p.setTags(ctx); err != nil {
		return err
	}
	return p.lives(ctx)
}

// lives looks whether the manifest is in the life that this push began or adopted, and rescues it from the collector.
// Errors: ErrDeleted.
func (p *push) lives(ctx context.Context) error {
	key := format.ManifestKey(p.repo, p.digest)
	m, err := read[manifestHead](ctx, p.l, key)
	for range rounds(ctx) {
		switch {
		case err != nil && !isConflict(err):
			return err
		case !m.Present() || m.Head.Generation != p.stored.Head.Generation:
			return ErrDeleted
		case m.Is(live):
			return nil
		}
		m, err = swap(ctx, p.l, key, m, live)
	}
	return errContended("rescue a manifest")
}

// look reads in parallel what the push needs to know: the references, the tags, the repository marker. Then it asks whether the tags may be set.
func (p *push) look(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	if p.manifest.Subject != nil {
		g.Go(func() error { return p.lookAtReferrers(gctx) })
	}
	g.Go(func() error {
		refs := &references{l: p.l, repo: p.repo, epoch: p.epoch}
		return refs.check(gctx, p.manifest)
	})
	for i := range p.tags {
		if p.restores {
			break // it begins with the tag as it read it
		}
		t := &p.tags[i]
		g.Go(func() (err error) {
			t.tag, err = read[tagHead](gctx, p.l, format.TagKey(p.repo, t.name))
			return err
		})
	}
	m, _ := p.l.repos.Get(p.repo)
	if p.known = m.markerKnown && m.markerEpoch == p.epoch; !p.known {
		g.Go(func() (err error) {
			p.marker, err = read[markerHead](gctx, p.l, format.RepositoryKey(p.repo))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range p.tags {
		if err := p.allowed(&p.tags[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeManifest writes, in parallel, the markers of the tags, the repository marker and the manifest. The marker of a repository that is new comes first: where
// there may be no more repositories, it is refused, and nothing else is to be there then. Nor is it to be there where there is no room for the manifest.
func (p *push) writeManifest(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	if !p.known {
		if p.marker.Present() {
			g.Go(func() error { return p.markRepository(gctx) })
		} else if err := p.room(ctx); err != nil {
			return err
		} else if err := p.markRepository(ctx); err != nil {
			return err
		}
	}
	p.markTags(gctx, g)
	g.Go(func() error { return p.installManifest(gctx) })
	return g.Wait()
}

// room asks whether there is room for the manifest, unless that is there. It makes no request of its own but to look for it before it refuses.
func (p *push) room(ctx context.Context) error {
	key := format.ManifestKey(p.repo, p.digest)
	refused := format.Room(ctx, p.l.format, key, stored[manifestHead]{Body: p.in.Body, State: live})
	if refused == nil {
		return nil
	}
	m, err := read[manifestHead](ctx, p.l, key)
	switch {
	case err != nil:
		return err
	case m.Present():
		return nil
	}
	return fmt.Errorf("registry: push a manifest: %w", refused)
}

// markAgain makes sure of all markers once the fence has moved: the collector may have taken them meanwhile.
func (p *push) markAgain(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	p.markTags(gctx, g)
	g.Go(func() (err error) {
		if p.marker, err = read[markerHead](gctx, p.l, format.RepositoryKey(p.repo)); err != nil {
			return err
		}
		return p.markRepository(gctx)
	})
	return g.Wait()
}

// markTags writes the markers of the tags, or finds them.
func (p *push) markTags(ctx context.Context, g *errgroup.Group) {
	for i := range p.tags {
		key := format.MarkerKey(p.repo, p.digest, p.tags[i].name)
		g.Go(func() error {
			_, err := p.mark(ctx, key, stored[markerHead]{})
			return err
		})
	}
}

// markRepository makes the repository appear in the catalog.
func (p *push) markRepository(ctx context.Context) error {
	marker, err := p.mark(ctx, format.RepositoryKey(p.repo), p.marker)
	if err != nil {
		return err
	}
	p.marker = marker
	epoch := p.epoch
	p.l.remember(p.repo, func(m *repoMemory) { m.markerEpoch, m.markerKnown = epoch, true })
	return nil
}

// mark makes a marker, read as old at any time before, live: it is written, brought back from the collector, or there.
func (p *push) mark(ctx context.Context, key record.Key, old stored[markerHead]) (stored[markerHead], error) {
	var err error
	for range rounds(ctx) {
		if old.Is(live) {
			return old, nil
		}
		head := markerHead{}
		head.State = live
		old, err = writeOrFind(ctx, p.l, key, old, head, nil, false)
		if err != nil && !isConflict(err) {
			return old, err
		}
	}
	return old, errContended("write a marker")
}

// installManifest writes the manifest, or adopts the one that is there, and keeps its version; a restore only adopts. While a manifest is
// there its media type stays, so that its digest and all its tags answer the same. Errors: MANIFEST_INVALID for another one.
func (p *push) installManifest(ctx context.Context) error {
	key := format.ManifestKey(p.repo, p.digest)
	var old stored[manifestHead]
	var err error
	if p.restores {
		// Read here, after the tag and the epoch and no earlier: a delete that comes later finds the tag's marker, or moves the fence.
		if old, err = read[manifestHead](ctx, p.l, key); err != nil {
			return err
		}
	}
	for range rounds(ctx) {
		if p.restores && !old.Present() {
			return errGone(p.digest, old)
		}
		since := p.l.records.Now()
		if old.Is(live) && since.Sub(old.Modified) < p.l.ages.TouchManifest && bytes.Equal(old.Body, p.in.Body) { // else it is damaged at rest
			p.stored, p.since = old, since
			return nil
		}
		head := manifestHead{MediaType: p.manifest.MediaType, Epoch: p.epoch, Generation: old.Head.Generation}
		head.State = live
		if !old.Present() {
			head.Generation = format.RandomID()
		}
		m, err := writeOrFind(ctx, p.l, key, old, head, p.in.Body, false)
		if err == nil {
			p.stored, p.since = m, since
			return nil
		}
		if !isConflict(err) || maybeWritten(err) && !m.Present() && m.Version != old.Version {
			return err // ours may have been there, and deleted since: whether to push again is not ours to decide
		}
		if old = m; old.Present() && old.Head.MediaType != p.manifest.MediaType {
			return &oci.Error{
				Code:    oci.ManifestInvalid,
				Message: "the repository has this manifest under another media type: push it with that one, or with a mediaType of its own",
				Detail:  oci.Field{Field: "Content-Type", Got: p.manifest.MediaType, Want: old.Head.MediaType},
			}
		}
	}
	return errContended("write a manifest")
}

// setTags sets every tag to the manifest, over whatever it named.
func (p *push) setTags(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for i := range p.tags {
		g.Go(func() error { return p.setTag(gctx, &p.tags[i]) })
	}
	return g.Wait()
}

func (p *push) setTag(ctx context.Context, t *pushedTag) error {
	key := format.TagKey(p.repo, t.name)
	for range rounds(ctx) {
		if p.late() {
			return errLate()
		}
		if err := p.allowed(t); err != nil { // asked of the version that the swap goes on from
			return err
		}
		head, inline := p.tagValue(ctx, t.tag)
		tag, err := write(ctx, p.l, key, t.tag, head, inline, false)
		if err == nil {
			if before := t.tag.Head.Digest; before != "" && before != p.digest {
				p.l.changed(p.repo)
			}
			t.tag, t.set = tag, true
			return nil
		}
		if !isConflict(err) {
			return err
		}
		before := t.tag
		t.tag = tag
		if err := p.lives(ctx); err != nil {
			return err
		}
		if p.restores && !saysTheSame(before, tag) {
			return errMoved(t.name, tag)
		}
	}
	return errContended("set a tag")
}

// allowed asks the push's condition, if it has one, about a tag as it was read.
func (p *push) allowed(t *pushedTag) error {
	if p.in.Allow == nil {
		return nil
	}
	var was oci.Digest
	if t.tag.Present() {
		was = t.tag.Head.Digest
	}
	return p.in.Allow(t.name, was, p.digest)
}

// tagValue is the tag's new value: what it named before is kept in its history.
func (p *push) tagValue(ctx context.Context, old stored[tagHead]) (tagHead, []byte) {
	head := tagHead{
		Digest: p.digest, Generation: p.stored.Head.Generation, MediaType: p.manifest.MediaType, Size: int64(len(p.in.Body)),
		Pushed: p.l.records.Now().UTC().Truncate(time.Millisecond), By: caller(ctx), Previous: old.Head.Previous,
	}
	head.State = live
	if old.Exists() && old.Head.Digest != "" && (old.Head.Digest != p.digest || old.Is(dead)) {
		head.Previous = append([]format.Previous{old.Head.AsPrevious()}, old.Head.Previous...)
	}
	if len(head.Previous) > format.KeptPrevious {
		head.Previous = head.Previous[:format.KeptPrevious]
	}
	if len(p.in.Body) > format.InlineBytes {
		return head, nil
	}
	return head, p.in.Body
}

// unset buries a tag, unless it was set since in another life or to another manifest.
func (p *push) unset(ctx context.Context, t *pushedTag) error {
	var err error
	tag := t.tag
	for range rounds(ctx) {
		if !tag.Present() || tag.Head.Digest != p.digest || tag.Head.Generation != p.stored.Head.Generation {
			return nil
		}
		if tag, err = p.l.buryTag(ctx, p.repo, t.name, tag); err == nil || !isConflict(err) {
			return err
		}
	}
	return errContended("delete a tag")
}

// withdraw buries the tags that this push set and takes the manifest out of its subject's referrers. The delete does it too, unless
// it dies.
func (p *push) withdraw(ctx context.Context) error {
	for i := range p.tags {
		t := &p.tags[i]
		if !t.set {
			continue
		}
		if err := p.unset(ctx, t); err != nil {
			return err
		}
	}
	if p.manifest.Subject == nil {
		return nil
	}
	return p.l.dropReferrer(ctx, p.repo, p.manifest.Subject.Digest, p.digest, p.stored.Head.Generation)
}
