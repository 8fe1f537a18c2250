package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	set  bool // tag is what this push wrote
}

// errOvertaken says that a look found the manifest changed: the push begins again.
var errOvertaken = errors.New("registry: the manifest was taken away while it was pushed")

func (p *push) run(ctx context.Context) error {
	err := errOvertaken
	for round := 0; round < pushRounds && errors.Is(err, errOvertaken); round++ {
		err = p.round(ctx)
	}
	overtaken := errors.Is(err, errOvertaken)
	if !p.anySet() || !overtaken && !isRefusal(err) {
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
	for i := range p.tags {
		if p.tags[i].set {
			return true
		}
	}
	return false
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
		return errOvertaken
	}
	return nil
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
		g.Go(func() error {
			tag, err := read[tagHead](gctx, p.l, tagKey(p.repo, t.name))
			if err == nil && (!t.set || tag.Version != t.tag.Version) {
				t.tag, t.set = tag, false
			}
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
// there its media type stays: it decides what the manifest refers to. Errors: MANIFEST_INVALID for another one.
func (p *push) installManifest(ctx context.Context) error {
	key := manifestKey(p.repo, p.digest)
	var old stored[manifestHead]
	for range rounds(ctx) {
		p.since = p.l.records.Now()
		if old.is(live) && p.since.Sub(old.Modified) < p.l.ages.TouchManifest {
			p.stored = old
			return nil
		}
		head := manifestHead{MediaType: p.manifest.MediaType, Epoch: p.epoch, Generation: old.Head.Generation}
		head.State = live
		if !old.present() {
			head.Generation = randomID()
		}
		m, err := writeOrFind(ctx, p.l, key, old, head, p.in.Body, false)
		if err == nil {
			p.stored = m
			return nil
		}
		if !isConflict(err) {
			return err
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
		return nil // in an earlier round, and looked at since
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
		t.tag, t.set = tag, false
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
	return errOvertaken
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
