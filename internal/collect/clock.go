package collect

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/format"
)

// clock is the time by which a pass judges ages: never ahead of the store's, whatever this replica takes for the time. It begins with a write
// of the pass's own, at the time that the store gave it, and moves on as the process's monotonic clock does.
type clock struct {
	stamp time.Time // zero: not set, the records' own clock is the time
	at    time.Time // when the stamp was known here, with a monotonic reading
}

// setClock writes a record, one read and one write, for the time that the store gives it. A dry run writes nothing, and needs no right time.
func (c *Collector) setClock(ctx context.Context) error {
	c.clock = clock{}
	if c.cfg.DryRun {
		return nil
	}
	key := format.ClockKey(LeaseName)
	s, err := format.Read[format.Marker](ctx, c.store, key)
	if err == nil {
		s, err = format.Write(ctx, c.store, key, s, format.Marker{}, nil, false)
	}
	if err != nil && !format.IsConflict(err) { // another collector's write will do: it is not later than now
		return fmt.Errorf("collect: ask the store for the time: %w", err)
	}
	c.clock = clock{stamp: s.Modified, at: time.Now()}
	return nil
}

// now is the time.
func (c *Collector) now() time.Time {
	known := c.store.Records.Now()
	if c.clock.stamp.IsZero() {
		return known
	}
	if bound := c.clock.stamp.Add(time.Since(c.clock.at)); bound.Before(known) {
		return bound
	}
	return known
}

// age is how old a value is.
func (c *Collector) age(modified time.Time) time.Duration { return c.now().Sub(modified) }
