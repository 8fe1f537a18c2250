package collect

import (
	"context"
	"maps"
	"slices"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// collectRepository collects what is useless of one repository: tags that its policy drops, manifests that nothing names, entries of
// referrers that are gone, and links that no manifest refers to: those of the manifests that die now, and hinted ones. It returns the
// digests whose links are dead. What it finds before its time it hints at for later.
func (c *Collector) collectRepository(ctx context.Context, v *view, hinted map[oci.Digest]bool) ([]oci.Digest, error) {
	if err := c.dropTags(ctx, v); err != nil {
		return nil, err
	}
	if err := c.finishDeletes(ctx, v); err != nil {
		return nil, err
	}
	candidates := maps.Clone(hinted)
	if candidates == nil {
		candidates = map[oci.Digest]bool{}
	}
	if err := c.collectManifests(ctx, v, candidates); err != nil {
		return nil, err
	}
	if err := c.dropReferrers(ctx, v); err != nil {
		return nil, err
	}
	return c.collectLinks(ctx, v, candidates)
}

// finishDeletes passes the tags that a DELETE left which died half way: they name a manifest that is dead.
func (c *Collector) finishDeletes(ctx context.Context, v *view) error {
	finished := map[oci.Digest]bool{}
	for i := range v.tags {
		t := &v.tags[i]
		m := v.manifests[t.digest]
		if t.dead || m == nil || m.Size != format.DeadSize || finished[t.digest] || c.cfg.DryRun || c.age(m.Modified) < c.store.Ages.Request {
			continue
		}
		dead, err := format.Read[format.Manifest](ctx, c.store, m.Key)
		if err != nil {
			return err
		}
		if !dead.Is(format.Dead) {
			continue
		}
		if err := c.registry.AfterManifest(ctx, v.repo, t.digest, dead.Head); err != nil {
			return err
		}
		finished[t.digest] = true
	}
	return nil
}

// moment is when a repository is looked at, and what this collector had condemned by then.
type moment struct {
	now       time.Time
	condemned map[oci.Digest]condemnation
}

// condemnation is a manifest that was condemned, and when it was written before; zero for one that another collector had condemned.
type condemnation struct {
	version record.Version
	written time.Time
}

// writtenAt is when somebody who wanted it last wrote a manifest.
func (at moment) writtenAt(m *manifestSeen) time.Time {
	if c, is := at.condemned[m.digest]; is && c.version == m.Version {
		return c.written
	}
	return m.Modified
}

// reachable are the manifests that somebody may still want: what tags name and, within the grace, named; what was pushed within the delay;
// what the policy keeps; their children; and what refers to one of them.
func (c *Collector) reachable(ctx context.Context, v *view, at moment) (map[oci.Digest]bool, error) {
	kept, err := c.keeps(ctx, v, at)
	if err != nil {
		return nil, err
	}
	within := func(t time.Time, age time.Duration) bool { return at.now.Sub(t) < age }
	var next []oci.Digest
	for _, t := range v.tags {
		if t.digest != "" && (!t.dead || within(t.Modified, c.store.Ages.Grace)) {
			next = append(next, t.digest)
		}
		for _, k := range t.kept {
			if within(k.until, c.store.Ages.Grace) {
				next = append(next, k.digest)
			}
		}
	}
	referrers := map[oci.Digest][]oci.Digest{}
	var young []oci.Digest
	for _, m := range v.inOrder {
		if m.dead() {
			continue
		}
		if m.parsed.Subject != nil {
			subject := m.parsed.Subject.Digest
			referrers[subject] = append(referrers[subject], m.digest)
		}
		if kept[m.digest] {
			next = append(next, m.digest)
		}
		if within(at.writtenAt(m), max(c.store.Ages.Grace, c.store.Ages.YoungManifest, c.cfg.Delay)) {
			young = append(young, m.digest)
		}
	}
	live := map[oci.Digest]bool{}
	v.reach(live, next, referrers)
	old := len(live)
	if v.reach(live, young, referrers); len(live) > old {
		c.later(v.repo) // some live only for their youth
	}
	return live, nil
}

// reach adds to live what leads from some manifests: them, their children, and what refers to any of these.
func (v *view) reach(live map[oci.Digest]bool, from []oci.Digest, referrers map[oci.Digest][]oci.Digest) {
	next := slices.Clone(from)
	for len(next) > 0 {
		d := next[len(next)-1]
		next = next[:len(next)-1]
		m := v.manifests[d]
		if live[d] || m == nil || m.dead() {
			continue
		}
		live[d] = true
		for _, child := range m.parsed.Children {
			next = append(next, child.Digest)
		}
		next = append(next, referrers[d]...)
	}
}

// collectManifests condemns what nobody can reach, raises the fence, looks again, and kills or restores. The blobs of what has died become
// candidates.
func (c *Collector) collectManifests(ctx context.Context, v *view, candidates map[oci.Digest]bool) error {
	live, err := c.reachable(ctx, v, moment{now: c.now()})
	if err != nil {
		return err
	}
	var useless []*manifestSeen
	for _, m := range v.inOrder {
		if !m.dead() && !live[m.digest] {
			useless = append(useless, m)
		}
	}
	c.count(KindManifests, Count{Found: int64(len(useless))})
	if c.cfg.DryRun || c.cfg.KeepTags && len(c.cfg.Policies) > 0 {
		for _, m := range useless {
			if c.cfg.DryRun {
				died(m, candidates)
			}
		}
		return nil
	}
	condemned := make([]format.Stored[format.Manifest], len(useless))
	if err := each(ctx, len(useless), func(ctx context.Context, i int) (err error) {
		condemned[i], err = c.condemnManifest(ctx, useless[i])
		return err
	}); err != nil {
		return err
	}
	// The second look judges ages by what the store said when it condemned: no clock of a replica's has a part in it.
	at := moment{now: c.now(), condemned: map[oci.Digest]condemnation{}}
	for i, s := range condemned {
		if !s.Is(format.Condemned) {
			continue
		}
		by := condemnation{version: s.Version}
		if m := useless[i]; s.Version != m.Version {
			by.written = m.Modified
			if s.Modified.Before(at.now) {
				at.now = s.Modified
			}
		}
		at.condemned[useless[i].digest] = by
	}
	c.count(KindManifests, Count{Rescued: int64(len(useless) - len(at.condemned))})
	if len(at.condemned) == 0 {
		return nil
	}
	if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
		return err
	}
	again, err := c.lookAgain(ctx, v.repo)
	if err != nil {
		return err
	}
	if live, err = c.reachable(ctx, again, at); err != nil {
		return err
	}
	// What dies takes the names of its blobs along: a collector that is killed now leaves them in a hint.
	if err := c.hintAt(ctx, v.repo, useless, func(m *manifestSeen) bool { return at.condemned[m.digest].version != "" && !live[m.digest] }); err != nil {
		return err
	}
	killed := make([]bool, len(useless))
	if err := each(ctx, len(useless), func(ctx context.Context, i int) (err error) {
		if s := condemned[i]; s.Is(format.Condemned) {
			killed[i], err = c.decideManifest(ctx, v.repo, useless[i], s, live[useless[i].digest])
		}
		return err
	}); err != nil {
		return err
	}
	for i, m := range useless {
		if killed[i] {
			died(m, candidates)
		}
	}
	return nil
}

// condemnManifest condemns a manifest in the version that was seen to be useless, or joins who did.
func (c *Collector) condemnManifest(ctx context.Context, m *manifestSeen) (format.Stored[format.Manifest], error) {
	s, err := format.Read[format.Manifest](ctx, c.store, m.Key)
	if err != nil || s.Version != m.Version || !s.Is(format.Live) {
		return s, err
	}
	now, err := format.Swap(ctx, c.store, m.Key, s, format.Condemned)
	if format.IsConflict(err) {
		return format.Stored[format.Manifest]{}, nil // somebody needs it: a push
	}
	return now, err
}

// decideManifest kills a condemned manifest, or restores it. A lost race is a rescue by a push, or another collector's decision.
func (c *Collector) decideManifest(ctx context.Context, repo oci.Repository, m *manifestSeen, s format.Stored[format.Manifest], live bool) (killed bool, err error) {
	if live {
		c.count(KindManifests, Count{Rescued: 1})
		if _, err := format.Swap(ctx, c.store, m.Key, s, format.Live); err != nil && !format.IsConflict(err) {
			return false, err
		}
		return false, nil
	}
	head := format.Manifest{MediaType: s.Head.MediaType, Epoch: s.Head.Epoch, Generation: s.Head.Generation}
	head.State = format.Dead
	if m.parsed.Subject != nil {
		head.Subject = m.parsed.Subject.Digest
	}
	now, err := format.Write(ctx, c.store, m.Key, s, head, nil, false)
	switch {
	case format.IsConflict(err):
		c.count(KindManifests, Count{Rescued: 1})
		return false, nil
	case err != nil:
		return false, err
	}
	c.count(KindManifests, Count{Freed: 1})
	m.Stamp = now.Stamp
	c.cfg.Removed(KindManifests, repo, m.digest)
	return true, nil
}

// died makes the blobs of a manifest candidates, and the manifest dead in the view.
func died(m *manifestSeen, candidates map[oci.Digest]bool) {
	for _, d := range m.parsed.BlobDigests() {
		candidates[d] = true
	}
	m.Size = format.DeadSize
}

// hintAt writes the blobs of manifests that are about to die into a hint of their own. A full pass finds them anyway.
func (c *Collector) hintAt(ctx context.Context, repo oci.Repository, seen []*manifestSeen, dying func(*manifestSeen) bool) error {
	if c.report.Full {
		return nil
	}
	hints := NewHints(c.store, c.log)
	for _, m := range seen {
		if dying(m) {
			hints.Changed(repo, m.parsed.BlobDigests()...)
		}
	}
	return hints.Write(ctx)
}

// dropReferrers takes the entries of manifests that are gone out of the lists of referrers, and buries lists that are empty.
func (c *Collector) dropReferrers(ctx context.Context, v *view) error {
	for _, entry := range v.subjects {
		if entry.Size == format.DeadSize {
			continue
		}
		known, ok := c.lists.Get(entry.Key)
		suspect := func(d oci.Digest) bool { m := v.manifests[d]; return m == nil || m.dead() }
		if ok && known.version == entry.Version && len(known.digests) > 0 && !slices.ContainsFunc(known.digests, suspect) {
			continue
		}
		list, err := format.Read[format.Referrers](ctx, c.store, entry.Key)
		if err != nil {
			return err
		}
		if !list.Present() {
			if err := buryVoid(ctx, c, entry.Key, list); err != nil {
				return err
			}
			continue
		}
		known = knownList{version: list.Version}
		var kept []format.Referrer
		for _, r := range list.Head.List {
			d := r.Descriptor.Digest
			if suspect(d) {
				m, err := format.Read[format.Manifest](ctx, c.store, format.ManifestKey(v.repo, d))
				if err != nil {
					return err
				}
				if !m.Present() {
					continue // it was entered while the manifest lived, in a life that is over
				}
			}
			kept, known.digests = append(kept, r), append(known.digests, d)
		}
		gone := int64(len(list.Head.List) - len(kept))
		if c.lists.Add(entry.Key, known); gone == 0 && (len(kept) > 0 || c.age(list.Modified) < c.store.Ages.Grace) {
			continue
		}
		c.count(KindReferrers, Count{Found: gone})
		if c.cfg.DryRun {
			continue
		}
		head := format.Referrers{List: kept}
		if len(kept) == 0 {
			head.State = format.Dead
		}
		if _, err = format.Write(ctx, c.store, entry.Key, list, head, nil, false); err == nil {
			c.count(KindReferrers, Count{Freed: gone})
		} else if !format.IsConflict(err) {
			return err
		}
	}
	return nil
}
