package collect

import (
	"context"
	"fmt"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// collectDigest collects the record of a digest that no link holds, and the bytes with it: condemn, look at the links again, then past
// rescue (doomed), delete the segments, dead. What another collector left half done goes on from where it is.
func (c *Collector) collectDigest(ctx context.Context, d oci.Digest) error {
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
	count := c.report.of(KindBlobs)
	if held && !rec.Is(format.Doomed) {
		if rec.Is(format.Condemned) && !c.cfg.DryRun { // left by a collector that died, or about to be looked at again by one that lives
			_, err = format.Swap(ctx, c.store, key, rec, format.Live)
		}
		return ignoreConflict(err)
	}
	count.Found++
	count.FoundBytes += rec.Head.Size
	if c.cfg.DryRun {
		return nil
	}
	if rec.Is(format.Live) {
		if rec, err = format.Swap(ctx, c.store, key, rec, format.Condemned); err != nil {
			count.Rescued++
			return ignoreConflict(err)
		}
	}
	if !rec.Is(format.Doomed) {
		if held, err = c.held(ctx, d); err != nil {
			return err
		}
		if held {
			count.Rescued++
			if rec.Is(format.Corrupt) {
				return nil
			}
			_, err = format.Swap(ctx, c.store, key, rec, format.Live)
			return ignoreConflict(err)
		}
		if rec, err = format.Swap(ctx, c.store, key, rec, format.Doomed); err != nil {
			count.Rescued++
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
	count.Freed++
	count.FreedBytes += rec.Head.Size
	return nil
}

// held reports whether a link holds a digest: one that is pending, live or condemned, or one whose bytes are damaged and wait to be pushed
// again. A void one holds nothing.
func (c *Collector) held(ctx context.Context, d oci.Digest) (bool, error) {
	prefix := format.LinkPrefix(d)
	for entry, err := range c.store.Records.List(ctx, prefix, "") {
		if err != nil {
			return false, fmt.Errorf("collect: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		link, err := format.Read[format.Link](ctx, c.store, entry.Key)
		if err != nil || link.Is(format.Pending, format.Live, format.Condemned, format.Corrupt) {
			return true, err
		}
	}
	return false, nil
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
	count := c.report.of(KindTombstones)
	count.Found++
	return c.remove(ctx, entry, count)
}

// remove deletes a key in the version that was listed.
func (c *Collector) remove(ctx context.Context, entry record.Entry, count *Count) error {
	switch {
	case c.cfg.DryRun:
		return nil
	case c.noDelete:
		count.Left++
		return nil
	}
	err := c.store.Records.Delete(ctx, entry.Key, record.IfVersion(entry.Version))
	switch {
	case isUnsupported(err):
		c.noDelete = true
		count.Left++
		c.report.Notes = append(c.report.Notes, "the store has no dependable conditional delete: tombstones, of 512 bytes each, stay; nothing else changes")
		return nil
	case format.IsConflict(err):
		count.Rescued++
		return nil
	case err != nil:
		return fmt.Errorf("collect: remove %s: %w", entry.Key, err)
	}
	count.Freed++
	return nil
}
