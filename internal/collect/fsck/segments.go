package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// maxOrphans is how many segments that seem to be named by nothing are held until they are looked at again.
const maxOrphans = 100_000

// checkSegments compares what sessions and records name, which was noted when they were checked, with the segments that there are. Each
// segment is named once at most.
func (c *checker) checkSegments(ctx context.Context) error {
	for {
		twice := c.names.seal()
		orphans, err := c.unnamed(ctx)
		if err != nil {
			return err
		}
		twice = slices.DeleteFunc(twice, func(p uint64) bool { return p > c.names.to })
		if err := c.checkNames(ctx, twice, orphans); err != nil {
			return err
		}
		if c.names.to == lastPrint {
			return nil
		}
		c.names = newNames(c.names.to+1, c.cfg.MaxNames)
		if err := c.eachNamed(ctx, c.names.add); err != nil {
			return err
		}
	}
}

// unnamed lists the segments in the range of the names and returns those that nothing names and that no request can name any more. When there are
// too many of them the range becomes smaller.
func (c *checker) unnamed(ctx context.Context) ([]data.Entry, error) {
	var after data.ID
	if c.names.from > 0 {
		after = data.ID(fmt.Sprintf("%016xffffffffffffffff", c.names.from-1))
	}
	var orphans []data.Entry
	for entry, err := range c.data.List(ctx, after) {
		if err != nil {
			return nil, fmt.Errorf("fsck: list segments: %w", err)
		}
		if !isID(entry.ID) {
			continue // a file that somebody else put there
		}
		p := printOf(entry.ID)
		if p > c.names.to {
			break
		}
		c.count(Segments, 1)
		c.addBytes(func(b *Bytes) { b.Segments += entry.Size })
		switch {
		case c.names.has(p):
		case c.store.Records.Now().Sub(entry.Modified) <= c.store.Ages.Orphan:
			c.addBytes(func(b *Bytes) { b.UnnamedYoung += entry.Size })
		default:
			if orphans = append(orphans, entry); len(orphans) == maxOrphans {
				c.names.to = p
			}
		}
	}
	return orphans, nil
}

// eachNamed yields what every session and every record names. Safe is what is named all the time, as sessions are read before records.
func (c *checker) eachNamed(ctx context.Context, yield func(record.Key, data.ID)) error {
	seen := func(record.Key) {} // unknown keys were found when they were checked
	err := c.eachSession(ctx, func(ctx context.Context, v *view, key record.Key, _ address) error {
		return c.nameSession(ctx, v, key, yield)
	}, seen)
	if err != nil {
		return err
	}
	p := c.newPool()
	for entry, err := range c.store.Records.List(ctx, folderRecords, "") {
		if err != nil {
			return errors.Join(fmt.Errorf("fsck: list %s: %w", folderRecords, err), p.wait(ctx))
		}
		if _, ok := parseKey(entry.Key); !ok {
			continue
		}
		if err := p.run(ctx, func(ctx context.Context) error { return c.nameRecord(ctx, c.newView(), entry.Key, yield) }); err != nil {
			return err
		}
	}
	return p.wait(ctx)
}

// checkNames reads all names once more, for the segments that seem to be named twice or by nothing.
func (c *checker) checkNames(ctx context.Context, twice []uint64, orphans []data.Entry) error {
	if len(twice)+len(orphans) == 0 {
		return nil
	}
	if err := pause(ctx, c.cfg.Pause); err != nil {
		return err
	}
	var mu sync.Mutex
	namedBy := map[data.ID][]record.Key{}
	wanted := map[uint64]bool{}
	for _, p := range twice {
		wanted[p] = true
	}
	for _, o := range orphans {
		wanted[printOf(o.ID)] = true
	}
	err := c.eachNamed(ctx, func(key record.Key, id data.ID) {
		mu.Lock()
		defer mu.Unlock()
		if wanted[printOf(id)] {
			namedBy[id] = append(namedBy[id], key)
		}
	})
	if err != nil {
		return err
	}
	for id, keys := range namedBy {
		if len(keys) > 1 {
			slices.Sort(keys)
			c.suspect(c.lookAtNames(id, keys))
		}
	}
	for _, o := range orphans {
		if len(namedBy[o.ID]) > 0 {
			continue
		}
		if err := c.concludeOrphan(ctx, o); err != nil {
			return err
		}
	}
	return c.confirm(ctx)
}

// concludeOrphan reports a segment that nothing names, unless the collector has taken it meanwhile.
func (c *checker) concludeOrphan(ctx context.Context, o data.Entry) error {
	_, err := c.data.Stat(ctx, o.ID)
	if errors.Is(err, data.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fsck: look at the segment %s: %w", o.ID, err)
	}
	age := c.store.Records.Now().Sub(o.Modified).Round(time.Hour)
	f := findf(SegmentUnnamed, keysOf(segmentKey(o.ID)), "%d bytes, %s old, and no record or session names them", o.Size, age)
	f.Bytes = o.Size
	c.addBytes(func(b *Bytes) { b.UnnamedOrphan += o.Size })
	return c.conclude(ctx, f)
}

// lookAtNames finds a segment that is named by more than one key, or twice by one.
func (c *checker) lookAtNames(id data.ID, keys []record.Key) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		var by []record.Key
		note := func(key record.Key, named data.ID) {
			if named == id {
				by = append(by, key)
			}
		}
		for _, key := range slices.Compact(slices.Clone(keys)) {
			name := c.nameSession
			if a, _ := parseKey(key); a.class == Records {
				name = c.nameRecord
			}
			if err := name(ctx, v, key, note); err != nil {
				return nil, err
			}
		}
		if len(by) < 2 {
			return nil, nil
		}
		return []Finding{findf(SegmentShared, append(by, segmentKey(id)), "%d of them name the segment %s", len(by), id)}, nil
	}
}
