package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// mostTended bounds the records that one full pass tends to.
const mostTended = 10000

// needsTending reports whether a record has many segments, or some that an earlier merge replaced, or counts for nothing.
func (c *Collector) needsTending(rec format.Stored[format.Blob]) bool {
	return rec.Is(format.Absent) || rec.Is(format.Live) && (len(rec.Head.Old) > 0 || len(rec.Head.Segments) > c.cfg.MaxSegments)
}

// tend looks after one blob record: it merges many segments, gives up those that an earlier merge replaced, and buries what is void. What
// fails keeps nobody from the others.
func (c *Collector) tend(ctx context.Context, key record.Key) error {
	return c.stepOver(ctx, string(key), c.tendTo(ctx, key))
}

func (c *Collector) tendTo(ctx context.Context, key record.Key) error {
	d, err := format.PartDigest(string(key[strings.LastIndexByte(string(key), '/')+1:]))
	if err != nil {
		return err
	}
	rec, err := format.Read[format.Blob](ctx, c.store, key)
	switch {
	case err != nil:
		return err
	case rec.Is(format.Absent):
		return buryVoid(ctx, c, key, rec)
	case !rec.Is(format.Live):
		return nil
	case len(rec.Head.Old) > 0 && c.age(rec.Modified) >= c.store.Ages.Tombstone:
		return c.dropOld(ctx, d, rec)
	case len(rec.Head.Segments) > c.cfg.MaxSegments && len(rec.Head.Old) == 0:
		return c.merge(ctx, d, rec)
	}
	return nil
}

// merge writes a blob's bytes into new segments, and swaps the record, then its links, to them. The old ones stay for readers that hold
// them for the life of a tombstone; a link that is written meanwhile from the old record is as good, for readers look at the record when
// a segment is gone.
func (c *Collector) merge(ctx context.Context, d oci.Digest, rec format.Stored[format.Blob]) error {
	c.count(KindMerged, Count{Found: 1})
	if c.cfg.DryRun {
		return nil
	}
	merged, err := c.registry.CopySegments(ctx, d, rec.Head.Segments, rec.Head.Size)
	if err != nil { // deleted meanwhile, damaged, or no room: it can wait
		if ctx.Err() != nil {
			return err
		}
		c.count(KindMerged, Count{Left: 1})
		c.log.WarnContext(ctx, "the segments of a blob were not merged", "digest", d, "segments", len(rec.Head.Segments), "err", err)
		return nil
	}
	head := rec.Head
	head.Old, head.Segments = head.Segments, merged
	now, err := format.Write(ctx, c.store, format.BlobKey(d), rec, head, nil, false)
	if format.IsConflict(err) {
		c.count(KindMerged, Count{Rescued: 1})
		for _, s := range merged { // a definite loss: nothing names them
			if err := c.segments.Delete(ctx, s.ID); err != nil {
				return fmt.Errorf("collect: drop a merged segment: %w", err)
			}
		}
		return nil
	}
	if err != nil {
		return err // it may name them
	}
	c.count(KindMerged, Count{Freed: 1})
	for entry, err := range c.store.Records.List(ctx, format.LinkPrefix(d), "") {
		if err != nil {
			return fmt.Errorf("collect: list the links of %s: %w", d, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		link, err := format.Read[format.Link](ctx, c.store, entry.Key)
		if err != nil {
			return err
		}
		// One that names others was made after the blob was deleted and pushed again.
		if !link.Is(format.Live) || !slices.Equal(link.Head.Segments, now.Head.Old) {
			continue
		}
		next := link.Head
		next.Segments = now.Head.Segments
		if _, err := format.Write(ctx, c.store, entry.Key, link, next, nil, false); err != nil && !format.IsConflict(err) {
			return err
		}
	}
	return nil
}

// dropOld forgets the segments that a merge replaced, and then deletes them, the first of them first: a reader that begins at it looks at
// the record.
func (c *Collector) dropOld(ctx context.Context, d oci.Digest, rec format.Stored[format.Blob]) error {
	if c.cfg.DryRun {
		return nil
	}
	head := rec.Head
	old := head.Old
	head.Old = nil
	if _, err := format.Write(ctx, c.store, format.BlobKey(d), rec, head, nil, false); err != nil {
		return ignoreConflict(err)
	}
	for _, s := range old {
		if err := c.segments.Delete(ctx, s.ID); err != nil {
			return fmt.Errorf("collect: delete a segment that was merged: %w", err)
		}
		c.count(KindMerged, Count{FreedBytes: s.Size})
	}
	return nil
}
