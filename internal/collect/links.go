package collect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// collectLinks collects those of a repository's links to candidates that no manifest refers to: condemn, raise the fence, look again, kill
// or restore. It returns the digests whose link is dead: now, or before.
func (c *Collector) collectLinks(ctx context.Context, v *view, candidates map[oci.Digest]bool) ([]oci.Digest, error) {
	unused := maps.Clone(candidates)
	v.uses(unused)
	var died []oci.Digest
	condemned := map[oci.Digest]format.Stored[format.Link]{}
	for _, d := range slices.Sorted(maps.Keys(unused)) {
		link, gone, err := c.condemnLink(ctx, v.repo, d)
		if err != nil {
			return died, err
		}
		if gone {
			died = append(died, d)
		} else if link.Is(format.Condemned, format.Corrupt) {
			condemned[d] = link
		}
	}
	if len(condemned) == 0 {
		return died, nil
	}
	if _, err := format.RaiseFence(ctx, c.store, v.repo); err != nil {
		return died, err
	}
	again, err := c.look(ctx, v.repo, format.ManifestPrefix(v.repo))
	if err != nil {
		return died, err
	}
	unused = map[oci.Digest]bool{}
	for d := range condemned {
		unused[d] = true
	}
	again.uses(unused)
	for _, d := range slices.Sorted(maps.Keys(condemned)) {
		killed, err := c.decideLink(ctx, v.repo, d, condemned[d], unused[d])
		if err != nil {
			return died, err
		}
		if killed {
			died = append(died, d)
		}
	}
	return died, nil
}

// uses takes the blobs that a manifest refers to out of candidates. A condemned manifest still does.
func (v *view) uses(candidates map[oci.Digest]bool) {
	for _, m := range v.manifests {
		if m.dead() {
			continue
		}
		for _, refs := range [][]oci.Ref{m.parsed.Blobs, m.parsed.Foreign} {
			for _, r := range refs {
				delete(candidates, r.Digest)
			}
		}
	}
}

// condemnLink condemns a link that is older than the grace. A corrupt one stays so: nobody takes it for present. gone says that there is
// none, or none any more.
func (c *Collector) condemnLink(ctx context.Context, repo oci.Repository, d oci.Digest) (link format.Stored[format.Link], gone bool, err error) {
	key := format.LinkKey(repo, d)
	if link, err = format.Read[format.Link](ctx, c.store, key); err != nil {
		return link, false, err
	}
	count := c.report.of(KindLinks)
	age := c.age(link.Modified)
	switch {
	case !link.Exists() || link.Is(format.Dead):
		return link, true, nil
	case link.Is(format.Pending) && age < c.store.Ages.Session, link.Is(format.Live, format.Corrupt) && age < c.store.Ages.Grace:
		c.later(repo, d)
		return format.Stored[format.Link]{}, false, nil
	}
	if count.Found++; c.cfg.DryRun {
		return link, true, nil
	}
	switch {
	case link.Is(format.Pending, format.Absent): // a request that died long ago, or came too late
		head := format.Link{}
		head.State = format.Dead
		_, err = format.Write(ctx, c.store, key, link, head, nil, false)
		if gone = err == nil; gone {
			count.Freed++
		}
	case link.Is(format.Live):
		link, err = format.Swap(ctx, c.store, key, link, format.Condemned)
	}
	if format.IsConflict(err) {
		count.Rescued++
		return format.Stored[format.Link]{}, false, nil // somebody is at it
	}
	return link, gone, err
}

// decideLink kills a condemned link, or restores it.
func (c *Collector) decideLink(ctx context.Context, repo oci.Repository, d oci.Digest, link format.Stored[format.Link], unused bool) (killed bool, err error) {
	key, count := format.LinkKey(repo, d), c.report.of(KindLinks)
	switch {
	case unused:
		head := format.Link{}
		head.State = format.Dead
		_, err = format.Write(ctx, c.store, key, link, head, nil, false)
	case link.Is(format.Condemned):
		_, err = format.Swap(ctx, c.store, key, link, format.Live)
	}
	if err != nil && !format.IsConflict(err) {
		return false, fmt.Errorf("collect: decide about a link: %w", err)
	}
	if killed = unused && err == nil; killed {
		count.Freed++
	} else {
		count.Rescued++
	}
	return killed, nil
}
