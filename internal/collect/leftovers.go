package collect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// clearAway removes what is left of manifests and tags that died long ago, and takes a repository without either out of the catalog.
func (c *Collector) clearAway(ctx context.Context, v *view) error {
	for _, t := range v.tags { // first: they tell whether the store removes anything under a condition
		if t.Size == format.DeadSize {
			if err := c.purge(ctx, t.Entry); err != nil {
				return err
			}
		}
	}
	if err := c.dropMarkers(ctx, v); err != nil {
		return err
	}
	named := map[oci.Digest]bool{}
	for _, d := range v.markers {
		named[d] = true
	}
	for i := range v.tags {
		t := &v.tags[i]
		switch {
		case t.Size == format.DeadSize:
		case t.digest != "":
			named[t.digest] = true
		default:
			if err := buryVoidAt[format.Tag](ctx, c, t.Entry); err != nil {
				return err
			}
		}
	}
	for _, m := range v.inOrder {
		if m.void {
			if err := buryVoidAt[format.Manifest](ctx, c, m.Entry); err != nil {
				return err
			}
		}
		if !m.dead() && m.parsed.Subject != nil {
			named[m.parsed.Subject.Digest] = true // by its tombstone it is known that the subject was here
		}
	}
	for _, m := range v.inOrder {
		if m.Size == format.DeadSize && m.parsed == nil && !named[m.digest] {
			if err := c.purge(ctx, m.Entry); err != nil {
				return err
			}
		}
	}
	for _, s := range v.subjects {
		if s.Size == format.DeadSize {
			if err := c.purge(ctx, s); err != nil {
				return err
			}
		}
	}
	if c.cfg.Policies.For(v.repo).NeedsPullTimes() {
		if err := c.forget(ctx, v); err != nil {
			return err
		}
	}
	return c.dropRepository(ctx, v)
}

// dropMarkers removes the markers of manifests that have been dead, or not there, for the life of a tombstone. A push that found a marker
// relies on it, and so does the DELETE that comes after: they are condemned, the fence is raised, and only when the manifest is as dead
// as before they go.
func (c *Collector) dropMarkers(ctx context.Context, v *view) error {
	if c.noDelete.Load() {
		return nil
	}
	age := max(c.store.Ages.Tombstone, c.store.Ages.Grace)
	condemned := map[oci.Digest][]record.Entry{}
	for _, d := range v.markers {
		if m := v.manifests[d]; m != nil && (!m.dead() || m.parsed != nil || c.age(m.Modified) < age) {
			continue
		}
		entries, err := c.condemnMarkers(ctx, v.repo, d)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			condemned[d] = entries
		}
	}
	if len(condemned) == 0 || c.cfg.DryRun {
		return nil
	}
	if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(condemned)) {
		entries := condemned[d]
		var before record.Version
		if m := v.manifests[d]; m != nil {
			before = m.Version
		}
		m, err := format.Read[format.Manifest](ctx, c.store, format.ManifestKey(v.repo, d))
		if err != nil {
			return err
		}
		if m.Version != before {
			c.count(KindMarkers, Count{Rescued: int64(len(entries))}) // it lives, or did meanwhile: condemned, they are markers still
			continue
		}
		for _, entry := range entries {
			if err := c.remove(ctx, entry, KindMarkers); err != nil {
				return err
			}
		}
		v.markers = slices.DeleteFunc(v.markers, func(other oci.Digest) bool { return other == d })
	}
	return nil
}

func (c *Collector) condemnMarkers(ctx context.Context, repo oci.Repository, d oci.Digest) ([]record.Entry, error) {
	prefix := format.MarkerPrefix(repo, d)
	var entries []record.Entry
	for entry, err := range c.store.Records.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("collect: list %s: %w", prefix, err)
		}
		if c.age(entry.Modified) < c.store.Ages.Tombstone {
			continue
		}
		c.count(KindMarkers, Count{Found: 1})
		if c.cfg.DryRun {
			continue
		}
		marker, err := format.Read[format.Marker](ctx, c.store, entry.Key)
		if err != nil {
			return nil, err
		}
		if !marker.Exists() {
			continue
		}
		if !marker.Is(format.Condemned) {
			if marker, err = format.Swap(ctx, c.store, entry.Key, marker, format.Condemned); format.IsConflict(err) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		entry.Stamp = marker.Stamp
		entries = append(entries, entry)
	}
	return entries, nil
}

// dropRepository takes a repository without tags and manifests out of the catalog.
func (c *Collector) dropRepository(ctx context.Context, v *view) error {
	if v.inUse() || c.age(v.newest) < c.store.Ages.Grace {
		return nil
	}
	key := format.RepositoryKey(v.repo)
	marker, err := format.Read[format.Marker](ctx, c.store, key)
	if err != nil || !marker.Present() {
		return firstError(ctx, err, buryVoid(ctx, c, key, marker))
	}
	if marker.Is(format.Live) && c.age(marker.Modified) < c.store.Ages.YoungManifest {
		return nil
	}
	c.count(KindRepositories, Count{Found: 1})
	if c.cfg.DryRun {
		return nil
	}
	if marker.Is(format.Live) {
		if marker, err = format.Swap(ctx, c.store, key, marker, format.Condemned); err != nil {
			return ignoreConflict(err)
		}
	}
	if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
		return err
	}
	again, err := c.lookAgain(ctx, v.repo)
	if err != nil {
		return err
	}
	if again.inUse() {
		c.count(KindRepositories, Count{Rescued: 1})
		_, err = format.Swap(ctx, c.store, key, marker, format.Live)
		return ignoreConflict(err)
	}
	head := format.Marker{}
	head.State = format.Dead
	if _, err = format.Write(ctx, c.store, key, marker, head, nil, false); err == nil {
		c.count(KindRepositories, Count{Freed: 1})
	}
	return ignoreConflict(err)
}

// inUse reports whether the repository has a tag or a manifest.
func (v *view) inUse() bool {
	for _, m := range v.inOrder {
		if !m.dead() {
			return true
		}
	}
	return slices.ContainsFunc(v.tags, func(t tagSeen) bool { return t.Size != format.DeadSize && t.digest != "" })
}

// buryVoidAt is buryVoid for a value that is not read yet. One that is too young is not read.
func buryVoidAt[H any, P format.HeadOf[H]](ctx context.Context, c *Collector, entry record.Entry) error {
	if c.age(entry.Modified) < c.store.Ages.Tombstone {
		return nil
	}
	s, err := format.Read[H, P](ctx, c.store, entry.Key)
	if err != nil {
		return err
	}
	return buryVoid[H, P](ctx, c, entry.Key, s)
}

// buryVoid makes a tombstone of a value that has counted for nothing for the life of one.
func buryVoid[H any, P format.HeadOf[H]](ctx context.Context, c *Collector, key record.Key, s format.Stored[H]) error {
	if c.cfg.DryRun || !s.Exists() || !s.Is(format.Absent) || c.age(s.Modified) < c.store.Ages.Tombstone {
		return nil
	}
	var none H
	_, err := format.Write[H, P](ctx, c.store, key, s, format.Killed[H, P](none), nil, false)
	return ignoreConflict(err)
}
