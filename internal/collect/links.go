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
	digests := slices.Sorted(maps.Keys(unused))
	links, gone := make([]format.Stored[format.Link], len(digests)), make([]bool, len(digests))
	err := each(ctx, len(digests), func(ctx context.Context, i int) (err error) {
		links[i], gone[i], err = c.condemnLink(ctx, v.repo, digests[i])
		return c.stepOver(ctx, "the link of "+string(digests[i])+" in "+string(v.repo), err)
	})
	if err == nil {
		err = c.decideLinks(ctx, v.repo, digests, links, gone)
	}
	var died []oci.Digest
	for i, d := range digests {
		if gone[i] {
			died = append(died, d)
		}
	}
	return died, err
}

// decideLinks raises the fence, looks again, and decides about the links that are condemned, or corrupt.
func (c *Collector) decideLinks(ctx context.Context, repo oci.Repository, digests []oci.Digest, links []format.Stored[format.Link], gone []bool) error {
	unused := map[oci.Digest]bool{}
	for i, d := range digests {
		if !gone[i] && links[i].Is(format.Condemned, format.Corrupt) {
			unused[d] = true
		}
	}
	if len(unused) == 0 {
		return nil
	}
	if _, err := format.RaiseFence(ctx, c.store, repo); err != nil {
		return err
	}
	again, err := c.look(ctx, repo, format.ManifestPrefix(repo))
	if err != nil {
		return err
	}
	again.uses(unused)
	return each(ctx, len(digests), func(ctx context.Context, i int) (err error) {
		if !gone[i] && links[i].Is(format.Condemned, format.Corrupt) {
			gone[i], err = c.decideLink(ctx, repo, digests[i], links[i], unused[digests[i]])
		}
		return err
	})
}

// uses takes the blobs that a manifest refers to out of candidates. A condemned manifest still does.
func (v *view) uses(candidates map[oci.Digest]bool) {
	for _, m := range v.inOrder {
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
	age := c.age(link.Modified)
	switch {
	case !link.Exists() || link.Is(format.Dead):
		return link, true, nil
	case link.Is(format.Pending) && age < c.store.Ages.Session, link.Is(format.Live, format.Corrupt) && age < c.store.Ages.Grace:
		if !c.report.Full { // which comes back by itself
			c.later(repo, d)
		}
		return format.Stored[format.Link]{}, false, nil
	}
	c.count(KindLinks, Count{Found: 1})
	if c.cfg.DryRun {
		c.wouldDie(key)
		return link, true, nil
	}
	switch {
	case link.Is(format.Pending, format.Absent): // a request that died long ago, or came too late
		head := format.Link{}
		head.State = format.Dead
		_, err = format.Write(ctx, c.store, key, link, head, nil, false)
		if gone = err == nil; gone {
			c.count(KindLinks, Count{Freed: 1})
			c.cfg.Removed(KindLinks, repo, d)
		}
	case link.Is(format.Live):
		before := link.Modified
		// By what the store says, not by a replica's clock.
		if link, err = format.Swap(ctx, c.store, key, link, format.Condemned); err == nil && link.Modified.Sub(before) < c.store.Ages.Grace {
			c.count(KindLinks, Count{Rescued: 1})
			link, err = format.Swap(ctx, c.store, key, link, format.Live)
		}
	}
	if format.IsConflict(err) {
		c.count(KindLinks, Count{Rescued: 1})
		return format.Stored[format.Link]{}, false, nil // somebody is at it
	}
	return link, gone, err
}

// decideLink kills a condemned link, or restores it.
func (c *Collector) decideLink(ctx context.Context, repo oci.Repository, d oci.Digest, link format.Stored[format.Link], unused bool) (killed bool, err error) {
	key := format.LinkKey(repo, d)
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
		c.count(KindLinks, Count{Freed: 1})
		c.cfg.Removed(KindLinks, repo, d)
	} else {
		c.count(KindLinks, Count{Rescued: 1})
	}
	return killed, nil
}
