package collect

import (
	"context"
	"fmt"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// CollectSessions ends uploads that nobody goes on with, frees the segments of those that became no blob, and removes sessions whose
// tokens expired long ago.
func (c *Collector) CollectSessions(ctx context.Context) error {
	for entry, err := range c.store.Records.List(ctx, format.PrefixUploads, "") {
		if err != nil {
			return fmt.Errorf("collect: list %s: %w", format.PrefixUploads, err)
		}
		if c.age(entry.Modified) < c.store.Ages.SessionDone {
			continue
		}
		if err := c.stepOver(ctx, string(entry.Key), c.collectSession(ctx, entry)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Collector) collectSession(ctx context.Context, entry record.Entry) error {
	s, err := format.Read[format.Upload](ctx, c.store, entry.Key)
	if err != nil || !s.Exists() {
		return err
	}
	age := c.age(s.Modified)
	if age < c.store.Ages.SessionDone || s.Is(format.Open) && age < c.store.Ages.Session {
		return nil
	}
	if named, err := c.names(ctx, s.Head); err != nil {
		return err
	} else if named {
		return c.removeSession(ctx, entry.Key, s)
	}
	if !s.Is(format.Aborted) {
		var bytes int64
		for _, seg := range s.Head.Segments {
			bytes += seg.Size
		}
		c.count(KindSessions, Count{Found: 1, FoundBytes: bytes})
		if c.cfg.DryRun {
			return nil
		}
		// Aborted first: nobody can commit it any more, so that a record which does not name its segments now never will (ADR 5).
		if s, err = format.Swap(ctx, c.store, entry.Key, s, format.Aborted); err != nil {
			c.count(KindSessions, Count{Rescued: 1})
			return ignoreConflict(err)
		}
		if named, err := c.names(ctx, s.Head); named || err != nil {
			return err
		}
		c.count(KindSessions, Count{Freed: 1, FreedBytes: bytes})
	}
	if c.cfg.DryRun {
		return nil
	}
	for _, seg := range s.Head.Segments { // once more of one that was aborted before: who aborted it may have died
		if err := c.segments.Delete(ctx, seg.ID); err != nil {
			return fmt.Errorf("collect: delete a segment of an upload: %w", err)
		}
	}
	return c.removeSession(ctx, entry.Key, s)
}

// names reports whether the blob record of an upload that was done names one of its segments.
func (c *Collector) names(ctx context.Context, session format.Upload) (bool, error) {
	if session.Digest == "" {
		return false, nil
	}
	rec, err := format.Read[format.Blob](ctx, c.store, format.BlobKey(session.Digest))
	if err != nil || !rec.Is(format.Live, format.Condemned, format.Doomed, format.Corrupt) {
		return false, err
	}
	mine := map[data.ID]bool{}
	for _, s := range session.Segments {
		mine[s.ID] = true
	}
	for _, named := range [][]format.Segment{rec.Head.Segments, rec.Head.Old} {
		for _, s := range named {
			if mine[s.ID] {
				return true, nil
			}
		}
	}
	return false, nil
}

// removeSession removes an ended session once no request can know of it: a day and two Request ages after its last token expired. Nothing
// can bring it back: a create needs a fresh token.
func (c *Collector) removeSession(ctx context.Context, key record.Key, s format.Stored[format.Upload]) error {
	if c.cfg.DryRun || s.Is(format.Open) || c.age(s.Modified) < 2*c.store.Ages.Session+2*c.store.Ages.Request {
		return nil
	}
	if err := c.store.Records.Delete(ctx, key, always); err != nil {
		return fmt.Errorf("collect: remove a session: %w", err)
	}
	return nil
}
