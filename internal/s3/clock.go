package s3

import (
	"sync"
	"time"
)

// clockWindow is how long an observation counts. Two windows of it bound what a single wrong Date
// header, or the drift of the local oscillator, can do.
const clockWindow = 10 * time.Minute

// clock estimates the store's clock from the Date header of its answers and the local monotonic clock.
// A Date is cut to the second and is as old as the answer's way here, so the largest offset seen is
// the best one.
type clock struct {
	start time.Time // the origin of the monotonic readings
	local func() time.Time

	mu            sync.Mutex
	seen          bool
	current, last time.Duration // largest offset of store time to local time, in this and in the last window
	since         time.Duration // when the current window began
	floor         time.Time     // the latest time of a write that this process was told of
}

func newClock() *clock {
	return &clock{start: time.Now(), local: time.Now}
}

func (c *clock) elapsed() time.Duration { return c.local().Sub(c.start) }

// observe takes the Date of an answer that has just arrived.
func (c *clock) observe(date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.elapsed()
	offset := date.Sub(c.start.Add(at).Round(0))
	switch {
	case !c.seen:
		c.seen, c.current, c.last, c.since = true, offset, offset, at
	case at-c.since > 2*clockWindow:
		c.current, c.last, c.since = offset, offset, at
	case at-c.since > clockWindow:
		c.current, c.last, c.since = offset, c.current, at
	case offset > c.current:
		c.current = offset
	}
}

// wrote takes the time of a write by the store's clock: now is not before it.
func (c *clock) wrote(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// now is the store's time. Before the first answer it is the local time.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.start.Add(c.elapsed()).Round(0).UTC()
	if c.seen {
		now = now.Add(max(c.current, c.last))
	}
	if now.Before(c.floor) {
		return c.floor
	}
	return now
}

// offset is how far the store's clock is ahead of the local one, to a second or so, and whether the
// store has answered yet.
func (c *clock) offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.current, c.last), c.seen
}
