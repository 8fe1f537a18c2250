package bolt

import (
	"sync/atomic"
	"time"
)

// clock is the wall clock, but where that is set back it stands still: no time is before one that it
// showed, nor before the latest Modified in the file.
type clock struct {
	wall   func() time.Time
	latest atomic.Int64 // nanoseconds since 1970
}

func (c *clock) now() time.Time { return time.Unix(0, c.nanoseconds()).UTC() }

// nanoseconds returns the time since 1970.
func (c *clock) nanoseconds() int64 {
	now := c.wall().UnixNano()
	for {
		latest := c.latest.Load()
		if now <= latest {
			return latest
		}
		if c.latest.CompareAndSwap(latest, now) {
			return now
		}
	}
}
