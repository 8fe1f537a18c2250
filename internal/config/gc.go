package config

import (
	"fmt"
	"strings"
	"time"

	"holdfast/internal/collect/retain"
)

// GC is the garbage collector of one store.
type GC struct {
	// Enabled is gc: true where the file does not say, but false below subPaths, as in zot.
	Enabled bool
	// Delay is how long what has just become unreferenced is kept, at least MinGCDelay; 24 h where the file does not say. In zot that is 1 h. Here half of it is
	// also what HEAD promises a client that skips an upload: the time that the client has for the rest of its push.
	Delay time.Duration
	// Interval is from the end of a pass to the next; 1 h where the file does not say. 0: one pass after the start, as in zot.
	Interval time.Duration
	// Window is when a pass may start. One that has started goes on beyond it.
	Window Window
	// RequestsPerSecond is how many requests the collector makes to the store in a second; 0: no bound. 200 where the file does not say.
	RequestsPerSecond int
}

// MinGCDelay is the shortest GC.Delay: a push may take so long between what it finds and the manifest that needs it.
const MinGCDelay = time.Hour

// Retention is what is removed besides what nothing refers to.
type Retention struct {
	// DryRun decides and tells, and removes nothing. In zot the collector then deletes no blobs either.
	DryRun bool
	// Delay is how old a manifest that no tag names, or a referrer whose subject is gone, must be to be removed. It is at least GC.Delay, and so much where
	// the file does not say.
	Delay    time.Duration
	Policies retain.Policies
}

// Scrub is the check of what is stored from time to time.
type Scrub struct {
	// Enabled is true for a section extensions.scrub that does not say otherwise, as in zot.
	Enabled bool
	// Interval is 24 h where the file does not say, and at least 2 h, as in zot.
	Interval time.Duration
}

// Window is a span of each day, in UTC. The zero value is the whole day.
type Window struct {
	// Start and End are since midnight, below 24 h, and whole minutes. A window that ends before it starts passes midnight. They are equal only when both are 0.
	Start, End time.Duration
}

// Contains reports whether t is in the window. Its last instant is the one before End.
func (w Window) Contains(t time.Time) bool {
	t = t.UTC()
	since := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	switch {
	case w == Window{}:
		return true
	case w.Start < w.End:
		return since >= w.Start && since < w.End
	}
	return since >= w.Start || since < w.End
}

// String returns HH:MM-HH:MM, or "" for the whole day.
func (w Window) String() string {
	if w == (Window{}) {
		return ""
	}
	at := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	return at(w.Start) + "-" + at(w.End)
}

func parseWindow(n *node) (any, *Problem) {
	const want = `two times of a day in UTC, as "22:00-06:00"`
	if !n.scalar() {
		return nil, mistyped(n, want)
	}
	if n.text == "" {
		return Window{}, nil
	}
	var times [2]time.Duration
	start, end, found := strings.Cut(n.text, "-")
	for i, text := range []string{start, end} {
		t, err := time.Parse("15:04", strings.TrimSpace(text))
		if err != nil || !found {
			return nil, wrong(n, "is not a time window", want)
		}
		times[i] = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	if times[0] == times[1] {
		return nil, wrong(n, "starts when it ends", want)
	}
	return Window{Start: times[0], End: times[1]}, nil
}
