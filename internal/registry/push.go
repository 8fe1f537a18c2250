package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/oci"
)

// PushManifest implements Manifests. The order of its steps is what the proofs of the protocol rest on:
// references, then the manifest, then the fence, then the subject, then the tags, then a last look at the
// manifest. Whatever is collected or deleted meanwhile is seen by one of the looks.
func (l *Local) PushManifest(ctx context.Context, repo oci.Repository, in Push) (*Pushed, error) {
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
	p := &push{l: l, repo: repo, in: in, manifest: parsed, digest: d, tags: make([]pushedTag, len(in.Tags))}
	for i, t := range in.Tags {
		p.tags[i] = pushedTag{name: t}
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	out := &Pushed{Digest: d}
	if parsed.Subject != nil {
		out.Subject = parsed.Subject.Digest
	}
	return out, nil
}

// pushRounds is how often a push begins again when its manifest is taken away meanwhile.
const pushRounds = 5

type push struct {
	l        *Local
	repo     oci.Repository
	in       Push
	manifest *oci.Manifest
	digest   oci.Digest

	epoch  uint64
	marker stored[markerHead]    // of the repository
	others stored[referrersHead] // of the subject
	known  bool                  // the repository marker is known to be live under epoch
	tags   []pushedTag
	stored stored[manifestHead]
	since  time.Time // the store's time before the manifest was written or adopted
}

// pushedTag is a tag on its way: as it was read, and as this push wrote it.
type pushedTag struct {
	name oci.Tag
	tag  stored[tagHead]
	set  bool // tag is what this push wrote: once, for what others do to it since comes after this push
}

// errOvertaken says that a look found the manifest changed: the push begins again.
var errOvertaken = errors.New("registry: the manifest was taken away while it was pushed")

// errDeleted says that the manifest was deleted after it was pushed: the push has ended.
var errDeleted = errors.New("registry: the manifest was deleted after it was pushed")

func (p *push) run(ctx context.Context) error {
	err := errOvertaken
	for round := 0; round < pushRounds && errors.Is(err, errOvertaken); round++ {
		err = p.round(ctx)
	}
	overtaken, deleted := errors.Is(err, errOvertaken), errors.Is(err, errDeleted)
	if !deleted && (!p.anySet() || !overtaken && !isRefusal(err)) {
		if overtaken {
			return errContended("push a manifest")
		}
		return err
	}
	// A tag was set, and its manifest, or what it refers to, was deleted since: the delete comes after
	// this push, and takes the tag with it.
	return p.withdraw(ctx)
}

// isRefusal reports whether err is an answer to the client, not a fault of the store.
func isRefusal(err error) bool {
	var refused *oci.Error
	return errors.As(err, &refused) && refused.Code != oci.Unavailable
}

func (p *push) anySet() bool {
	return slices.ContainsFunc(p.tags, func(t pushedTag) bool { return t.set })
}

func (p *push) round(ctx context.Context) error {
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
	}
	if p.manifest.Subject != nil {
		if err := p.refer(ctx); err != nil {
			return err
		}
	}
	if err := p.setTags(ctx); err != nil {
		return err
	}
	m, err := read[manifestHead](ctx, p.l, manifestKey(p.repo, p.digest))
	if err != nil {
		return err
	}
	if !m.is(live) || m.Version != p.stored.Version {
		return p.overtaken(m)
	}
	return nil
}

// overtaken decides how a push goes on whose manifest is m now, not what it wrote or adopted. When it was deleted meanwhile the push
// came before the delete, and has ended: beginning again would bring back what was seen, and deleted since. Else it
// begins again: the manifest was renewed or pushed again by another, or a tag is not set yet, or the collector, which takes
// nothing that is young or has a tag, may have taken it.
func (p *push) overtaken(m stored[manifestHead]) error {
	late := len(p.tags) == 0 && p.l.records.Now().Sub(p.since) > p.l.ages.TagAfterManifest
	if m.is(dead) && p.allSet() && !late {
		return errDeleted
	}
	return errOvertaken
}

func (p *push) allSet() bool {
	return !slices.ContainsFunc(p.tags, func(t pushedTag) bool { return !t.set })
}

// look reads in parallel what the push needs to know: the references, the tags, the repository marker.
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
		t := &p.tags[i]
		if t.set {
			continue
		}
		g.Go(func() (err error) {
			t.tag, err = read[tagHead](gctx, p.l, tagKey(p.repo, t.name))
			return err
		})
	}
	m, _ := p.l.repos.Get(p.repo)
	if p.known = m.markerKnown && m.markerEpoch == p.epoch; !p.known {
		g.Go(func() (err error) {
			p.marker, err = read[markerHead](gctx, p.l, repositoryKey(p.repo))
			return err
		})
	}
	return g.Wait()
}

// writeManifest writes, in parallel, the markers of the tags, the repository marker and the manifest.
func (p *push) writeManifest(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for i := range p.tags {
		name := p.tags[i].name
		g.Go(func() error {
			_, err := writeOrFind(gctx, p.l, markerKey(p.repo, p.digest, name), stored[markerHead]{}, markerHead{}, nil, false)
			if isConflict(err) {
				return nil // it is there, and never changes
			}
			return err
		})
	}
	if !p.known {
		g.Go(func() error { return p.markRepository(gctx) })
	}
	g.Go(func() error { return p.installManifest(gctx) })
	return g.Wait()
}

// markRepository makes the repository appear in the catalog.
func (p *push) markRepository(ctx context.Context) error {
	var err error
	for range rounds(ctx) {
		if p.marker.is(live) {
			epoch := p.epoch
			p.l.remember(p.repo, func(m *repoMemory) { m.markerEpoch, m.markerKnown = epoch, true })
			return nil
		}
		head := markerHead{}
		head.State = live
		p.marker, err = writeOrFind(ctx, p.l, repositoryKey(p.repo), p.marker, head, nil, false)
		if err != nil && !isConflict(err) {
			return err
		}
	}
	return errContended("mark a repository")
}

// installManifest writes the manifest, or adopts the one that is there, and keeps its version. While a manifest is
// there its media type stays, so that its digest and all its tags answer the same. Errors: MANIFEST_INVALID for another one.
func (p *push) installManifest(ctx context.Context) error {
	key := manifestKey(p.repo, p.digest)
	var old stored[manifestHead]
	for range rounds(ctx) {
		since := p.l.records.Now()
		if old.is(live) && since.Sub(old.Modified) < p.l.ages.TouchManifest {
			p.stored, p.since = old, since
			return nil
		}
		head := manifestHead{MediaType: p.manifest.MediaType, Epoch: p.epoch, Generation: old.Head.Generation}
		head.State = live
		if !old.present() {
			head.Generation = randomID()
		}
		m, err := writeOrFind(ctx, p.l, key, old, head, p.in.Body, false)
		if err == nil {
			p.stored, p.since = m, since
			return nil
		}
		if !isConflict(err) || maybeWritten(err) && !m.present() && m.Version != old.Version {
			return err // ours may have been there, and deleted since: whether to push again is not ours to decide
		}
		if p.stored.exists() && errors.Is(p.overtaken(m), errDeleted) {
			return errDeleted
		}
		if old = m; old.present() && old.Head.MediaType != p.manifest.MediaType {
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
	if t.set {
		return nil // in an earlier round
	}
	key := tagKey(p.repo, t.name)
	for range rounds(ctx) {
		if p.l.records.Now().Sub(p.since) > p.l.ages.TagAfterManifest {
			return errOvertaken
		}
		head, inline := p.tagValue(ctx, t.tag)
		tag, err := write(ctx, p.l, key, t.tag, head, inline, false)
		if err == nil {
			t.tag, t.set = tag, true
			return nil
		}
		if !isConflict(err) {
			return err
		}
		t.tag = tag
	}
	return errContended("set a tag")
}

// tagValue is the tag's new value: what it named before is kept in its history.
func (p *push) tagValue(ctx context.Context, old stored[tagHead]) (tagHead, []byte) {
	head := tagHead{Digest: p.digest, MediaType: p.manifest.MediaType, Size: int64(len(p.in.Body)), By: caller(ctx), Previous: old.Head.Previous}
	head.State = live
	if old.exists() && old.Head.Digest != "" && (old.Head.Digest != p.digest || old.is(dead)) {
		head.Previous = append([]previous{{Digest: old.Head.Digest, T: old.Head.T, By: old.Head.By}}, old.Head.Previous...)
	}
	if len(head.Previous) > keptPrevious {
		head.Previous = head.Previous[:keptPrevious]
	}
	if len(p.in.Body) > inlineBytes {
		return head, nil
	}
	return head, p.in.Body
}

// withdraw swaps the tags that this push set, and that nobody has set since, to tombstones.
func (p *push) withdraw(ctx context.Context) error {
	for i := range p.tags {
		t := &p.tags[i]
		if !t.set {
			continue
		}
		if _, err := p.l.buryTag(ctx, p.repo, t.name, t.tag); err != nil && !isConflict(err) {
			return err
		}
	}
	return nil
}

// buryTag swaps a tag to a tombstone that says what it named.
func (l *Local) buryTag(ctx context.Context, repo oci.Repository, name oci.Tag, tag stored[tagHead]) (stored[tagHead], error) {
	head := tagHead{Digest: tag.Head.Digest, By: oci.Clip(caller(ctx))}
	head.State = dead
	return write(ctx, l, tagKey(repo, name), tag, head, nil, false)
}
