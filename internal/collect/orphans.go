package collect

import (
	"context"
	"errors"
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
		names, err := c.allNames(ctx, in, share == 0)
		if errors.Is(err, errTooMany) {
			shares, share = 2*shares, 0
			continue
		}
		if err != nil {
			return err
		}
		if err := c.freeUnnamed(ctx, names, in); err != nil {
			return err
		}
		share++
	}
	for _, key := range c.toTend { // last: merging needs room
		if err := c.tend(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// errTooMany says that there are more names than may be remembered.
var errTooMany = errors.New("collect: more segments than may be remembered")

// freeUnnamed frees what is in the share and not in names.
func (c *Collector) freeUnnamed(ctx context.Context, names idSet, in func(data.ID) bool) error {
	if names == nil {
		return nil // what cannot be read may name anything
	}
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
	again, err := c.allNames(ctx, in, false)
	if errors.Is(err, errTooMany) || err == nil && again == nil {
		return nil
	}
	if err != nil {
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
			if err := c.stepOver(ctx, "the segment "+string(entry.ID), err); err != nil {
				return err
			}
			c.count(KindOrphans, Count{Left: 1})
			continue
		}
		c.count(KindOrphans, Count{Freed: 1, FreedBytes: entry.Size})
	}
	return nil
}

// allNames reads which segments of a share records and sessions name; nil when one of them cannot be read. With tend it notes the records
// that need tending to. Errors: errTooMany.
func (c *Collector) allNames(ctx context.Context, in func(data.ID) bool, tend bool) (idSet, error) {
	names := idSet{}
	add := func(segments []format.Segment) error {
		if len(names) > c.cfg.MaxReferences {
			return errTooMany
		}
		return names.add(slices.DeleteFunc(slices.Clone(segments), func(s format.Segment) bool { return !in(s.ID) }))
	}
	if tend {
		c.toTend = nil
	}
	unread, err := readAll(ctx, c, format.PrefixBlobs, func(key record.Key, rec format.Stored[format.Blob]) error {
		if tend && c.needsTending(rec) && len(c.toTend) < mostTended {
			c.toTend = append(c.toTend, key)
		}
		if rec.Is(format.Absent, format.Dead) {
			return nil
		}
		return errors.Join(add(rec.Head.Segments), add(rec.Head.Old))
	})
	if err != nil {
		return nil, err
	}
	more, err := readAll(ctx, c, format.PrefixUploads, func(_ record.Key, s format.Stored[format.Upload]) error {
		return add(s.Head.Segments)
	})
	if err != nil || unread+more > 0 {
		return nil, err
	}
	return names, nil
}
