package collect

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// CollectDigest collects the record of a digest that no link holds, and the bytes with it: condemn, look at the links again, then past
// rescue (doomed), delete the segments, dead. What another collector left half done goes on from where it is.
func (c *Collector) CollectDigest(ctx context.Context, d oci.Digest) error {
	key := format.BlobKey(d)
	held, err := c.held(ctx, d)
	if err != nil {
		return err
	}
	rec, err := format.Read[format.Blob](ctx, c.store, key)
	if err != nil {
		return err
	}
	if !rec.Is(format.Live, format.Condemned, format.Doomed, format.Corrupt) {
		return nil
	}
	if held && !rec.Is(format.Doomed) {
		if rec.Is(format.Condemned) && !c.cfg.DryRun { // left by a collector that died, or about to be looked at again by one that lives
			_, err = format.Swap(ctx, c.store, key, rec, format.Live)
		}
		return ignoreConflict(err)
	}
	c.count(KindBlobs, Count{Found: 1, FoundBytes: rec.Head.Size})
	if c.cfg.DryRun {
		return nil
	}
	if rec.Is(format.Live) {
		if rec, err = format.Swap(ctx, c.store, key, rec, format.Condemned); err != nil {
			c.count(KindBlobs, Count{Rescued: 1})
			return ignoreConflict(err)
		}
	}
	if !rec.Is(format.Doomed) {
		if held, err = c.held(ctx, d); err != nil {
			return err
		}
		if held {
			c.count(KindBlobs, Count{Rescued: 1})
			if rec.Is(format.Corrupt) {
				return nil
			}
			_, err = format.Swap(ctx, c.store, key, rec, format.Live)
			return ignoreConflict(err)
		}
		if rec, err = format.Swap(ctx, c.store, key, rec, format.Doomed); err != nil {
			c.count(KindBlobs, Count{Rescued: 1})
			return ignoreConflict(err)
		}
	}
	for _, segments := range [][]format.Segment{rec.Head.Segments, rec.Head.Old} {
		for _, s := range segments {
			if err := c.segments.Delete(ctx, s.ID); err != nil {
				return fmt.Errorf("collect: delete a segment of %s: %w", d, err)
			}
		}
	}
	head := format.Blob{}
	head.State = format.Dead
	if _, err = format.Write(ctx, c.store, key, rec, head, nil, false); err != nil {
		return ignoreConflict(err) // a push helped
	}
	c.count(KindBlobs, Count{Freed: 1, FreedBytes: rec.Head.Size})
	c.cfg.Removed(KindBlobs, "", d)
	return nil
}

// collectDigests is CollectDigest for several.
func (c *Collector) collectDigests(ctx context.Context, digests []oci.Digest) error {
	return each(ctx, len(digests), func(ctx context.Context, i int) error {
		return c.stepOver(ctx, string(digests[i]), c.CollectDigest(ctx, digests[i]))
	})
}

// wouldDie notes a link that a dry run would have killed.
func (c *Collector) wouldDie(link record.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dying[link] = true
}

// held reports whether a link holds a digest: one that is pending, live or condemned, or one whose bytes are damaged and wait to be pushed
// again. A void one holds nothing.
func (c *Collector) held(ctx context.Context, d oci.Digest) (bool, error) {
	prefix := format.LinkPrefix(d)
	for entry, err := range c.store.Records.List(ctx, prefix, "") {
		if err != nil {
			return false, fmt.Errorf("collect: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize || c.dying[entry.Key] {
			continue
		}
		link, err := format.Read[format.Link](ctx, c.store, entry.Key)
		if err != nil || link.Is(format.Pending, format.Live, format.Condemned, format.Corrupt) {
			return true, err
		}
	}
	return false, nil
}

// stepOver reports an error that belongs to one thing alone, so that it keeps nobody from the others: it returns nil. Errors: those of a store
// that does not answer, and of a pass that ends.
func (c *Collector) stepOver(ctx context.Context, what string, err error) error {
	if stop := (stopError{}); err == nil || ctx.Err() != nil || errors.Is(err, record.ErrUnavailable) || errors.As(err, &stop) {
		return err
	}
	c.log.ErrorContext(ctx, "the collector left something alone that it cannot deal with", "what", what, "err", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.skip("%s: %s", what, err.Error())
	return nil
}

func ignoreConflict(err error) error {
	if format.IsConflict(err) {
		return nil
	}
	return err
}

// purge removes a tombstone whose time has come, on a store that can. Errors: none for one that changed meanwhile.
func (c *Collector) purge(ctx context.Context, entry record.Entry) error {
	if c.age(entry.Modified) < max(c.store.Ages.Tombstone, c.store.Ages.Grace) {
		return nil
	}
	c.count(KindTombstones, Count{Found: 1})
	return c.remove(ctx, entry, KindTombstones)
}

// remove deletes a key in the version that was listed.
func (c *Collector) remove(ctx context.Context, entry record.Entry, kind Kind) error {
	if c.cfg.DryRun {
		return nil
	}
	err := record.ErrUnsupported
	if !c.noDelete.Load() {
		err = c.store.Records.Delete(ctx, entry.Key, record.IfVersion(entry.Version))
	}
	switch {
	case errors.Is(err, record.ErrUnsupported):
		if c.noDelete.CompareAndSwap(false, true) {
			c.log.WarnContext(ctx, "the store has no dependable conditional delete: tombstones, of 512 bytes each, stay; nothing else changes")
		}
		c.count(kind, Count{Left: 1})
	case format.IsConflict(err):
		c.count(kind, Count{Rescued: 1})
	case err != nil:
		return fmt.Errorf("collect: remove %s: %w", entry.Key, err)
	default:
		c.count(kind, Count{Freed: 1})
	}
	return nil
}
