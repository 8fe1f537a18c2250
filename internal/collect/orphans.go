package collect

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// idSet is a set of segment ids, by their first 64 random bits. Two ids that share them keep each other, which loses nothing.
type idSet map[uint64]struct{}

func (s idSet) add(segments []format.Segment) error {
	for _, seg := range segments {
		n, err := shortID(seg.ID)
		if err != nil {
			return err
		}
		s[n] = struct{}{}
	}
	return nil
}

func shortID(id data.ID) (uint64, error) {
	if len(id) < 16 {
		return 0, fmt.Errorf("collect: %q is not the id of a segment", oci.Clip(string(id)))
	}
	n, err := strconv.ParseUint(string(id[:16]), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("collect: %q is not the id of a segment: %w", oci.Clip(string(id)), err)
	}
	return n, nil
}

// CollectOrphans frees the segments that no record and no session names, older than the age Orphan, and still unnamed when all names are
// read once more. It reads every record of a blob, and merges those that are in very many segments. With more names than MaxReferences
// it works in shares of the ids.
func (c *Collector) CollectOrphans(ctx context.Context) error {
	shares := uint64(1)
	for share := uint64(0); share < shares; {
		in := func(id data.ID) bool {
			n, err := shortID(id)
			return err == nil && n%shares == share
		}
		names, full, err := c.allNames(ctx, in, share == 0)
		if err != nil {
			return err
		}
		if full {
			shares, share = 2*shares, 0
			continue
		}
		if err := c.freeUnnamed(ctx, names, in); err != nil {
			return err
		}
		share++
	}
	return nil
}

// freeUnnamed frees what is in the share and not in names.
func (c *Collector) freeUnnamed(ctx context.Context, names idSet, in func(data.ID) bool) error {
	var unnamed []data.Entry
	for entry, err := range c.segments.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("collect: list segments: %w", err)
		}
		if n, err := shortID(entry.ID); err != nil {
			c.report.skip("%s", err.Error())
		} else if _, named := names[n]; !named && in(entry.ID) && c.age(entry.Modified) >= c.store.Ages.Orphan {
			unnamed = append(unnamed, entry)
		}
	}
	if len(unnamed) == 0 {
		return nil
	}
	for _, entry := range unnamed {
		c.count(KindOrphans, Count{Found: 1, FoundBytes: entry.Size})
	}
	if c.cfg.DryRun {
		return nil
	}
	again, full, err := c.allNames(ctx, in, false)
	if err != nil || full {
		return err
	}
	for _, entry := range unnamed {
		n, err := shortID(entry.ID)
		if err != nil {
			return err
		}
		if _, named := again[n]; named {
			c.count(KindOrphans, Count{Rescued: 1})
			continue
		}
		if err := c.segments.Delete(ctx, entry.ID); err != nil {
			return fmt.Errorf("collect: delete a segment that nothing names: %w", err)
		}
		c.count(KindOrphans, Count{Freed: 1, FreedBytes: entry.Size})
	}
	return nil
}

// allNames reads which segments of a share records and sessions name; full says that they are more than may be remembered. With tend it
// also tends to the records on the way.
func (c *Collector) allNames(ctx context.Context, in func(data.ID) bool, tend bool) (names idSet, full bool, err error) {
	names = idSet{}
	add := func(segments []format.Segment) error {
		return names.add(slices.DeleteFunc(slices.Clone(segments), func(s format.Segment) bool { return !in(s.ID) }))
	}
	err = readAll(ctx, c, format.PrefixBlobs, func(key record.Key, rec format.Stored[format.Blob]) error {
		if full = len(names) > c.cfg.MaxReferences; full || rec.Is(format.Absent, format.Dead) {
			return nil
		}
		if err := add(rec.Head.Segments); err != nil {
			return err
		}
		if err := add(rec.Head.Old); err != nil || !tend {
			return err
		}
		return c.tend(ctx, key, rec)
	})
	if err != nil || full {
		return nil, full, err
	}
	err = readAll(ctx, c, format.PrefixUploads, func(_ record.Key, s format.Stored[format.Upload]) error {
		return add(s.Head.Segments)
	})
	return names, full, err
}
