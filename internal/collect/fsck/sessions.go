package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// checkSessions checks every upload session and notes the segments that it names.
func (c *checker) checkSessions(ctx context.Context) error {
	c.names = newNames(0, c.cfg.MaxNames)
	return c.eachSession(ctx, func(ctx context.Context, v *view, key record.Key, a address) error {
		c.count(Sessions, 1)
		if err := c.first(ctx, v, c.lookAtKey(key, a)); err != nil {
			return err
		}
		if err := c.first(ctx, v, c.lookAtSession(key)); err != nil {
			return err
		}
		return c.nameSession(ctx, v, key, c.names.add)
	}, c.suspectUnknown)
}

// eachSession has every session checked, many at once, and every key below the sessions' folder that is none's.
func (c *checker) eachSession(ctx context.Context, check func(context.Context, *view, record.Key, address) error, unknown func(record.Key)) error {
	p := c.newPool()
	for entry, err := range c.store.Records.List(ctx, folderSessions, "") {
		if err != nil {
			return errors.Join(fmt.Errorf("fsck: list %s: %w", folderSessions, err), p.wait(ctx))
		}
		a, ok := parseKey(entry.Key)
		if !ok {
			unknown(entry.Key)
			continue
		}
		if err := p.run(ctx, func(ctx context.Context) error { return check(ctx, c.newView(), entry.Key, a) }); err != nil {
			return err
		}
	}
	return p.wait(ctx)
}

func (c *checker) suspectUnknown(key record.Key) { c.suspect(c.lookAtUnknown(key)) }

// lookAtSession finds an open upload that cannot go on. Its segments are deleted only once it is aborted.
func (c *checker) lookAtSession(key record.Key) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		s, err := load[format.Upload](ctx, v, key)
		if err != nil || !s.Is(format.Open) {
			return nil, err
		}
		missing, detail, err := c.missing(ctx, s.Head.Segments)
		if err != nil || missing == "" {
			return nil, err
		}
		return []Finding{find(SessionSegmentMissing, detail, key, segmentKey(missing))}, nil
	}
}

// missing looks for segments in the data store. It returns the first that is not there with its size, and what is wrong with it; ""
// when all are there.
func (c *checker) missing(ctx context.Context, segments []format.Segment) (data.ID, string, error) {
	for _, s := range segments {
		if !isID(s.ID) {
			continue // an illegal field
		}
		size, err := c.data.Stat(ctx, s.ID)
		switch {
		case errors.Is(err, data.ErrNotFound):
			return s.ID, fmt.Sprintf("the segment %s of %d bytes is not there", s.ID, s.Size), nil
		case err != nil:
			return "", "", fmt.Errorf("fsck: look at the segment %s: %w", s.ID, err)
		case size != s.Size:
			return s.ID, fmt.Sprintf("the segment %s has %d bytes, want %d", s.ID, size, s.Size), nil
		}
	}
	return "", "", nil
}

// nameSession yields the segments that a session names and that are not, as they may be once it is done, its own blob's; nor, as they
// may be once it is aborted, its own blob's that are being deleted.
func (c *checker) nameSession(ctx context.Context, v *view, key record.Key, yield func(record.Key, data.ID)) error {
	s, err := load[format.Upload](ctx, v, key)
	if err != nil || s.state == format.Absent {
		return err
	}
	var own []format.Segment
	if s.Is(format.Done, format.Aborted) && isDigest(s.Head.Digest) {
		rec, err := load[format.Blob](ctx, v, format.BlobKey(s.Head.Digest))
		if err != nil {
			return err
		}
		if s.Is(format.Done) || rec.Is(format.Doomed) {
			own = namedBy(rec)
		}
	}
	for _, seg := range s.Head.Segments {
		if isID(seg.ID) && !slices.ContainsFunc(own, func(o format.Segment) bool { return o.ID == seg.ID }) {
			yield(key, seg.ID)
		}
	}
	return nil
}

// namedBy are the segments that a blob record names, so that nothing may take them.
func namedBy(rec *item[format.Blob]) []format.Segment {
	if rec.Is(format.Live, format.Condemned, format.Doomed, format.Corrupt) {
		return slices.Concat(rec.Head.Segments, rec.Head.Old)
	}
	return nil
}
