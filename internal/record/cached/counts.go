package cached

import "sync/atomic"

// Counts are what a cache did since the process began, each of which only grows. Safe for concurrent use.
type Counts struct {
	Memory, Shared Lookups
	Moved          atomic.Int64 // links that were remembered, and read from the store because the fence had moved

	Form, Version, Foreign atomic.Int64 // what the shared cache gave and is refused: no envelope; one of another version of the program; one that nobody here sealed for the key

	Got      Calls        // reads of the shared cache
	Stored   Calls        // writes to it, deletions included
	Dropped  atomic.Int64 // writes to it that were not made: too many wait
	NotAsked atomic.Int64 // calls that were not made: it did not answer lately, or too many wait for it
	Opened   atomic.Int64 // how often it was given up for a while
	open     atomic.Bool
}

// Lookups counts who looked for something that may be remembered.
type Lookups struct{ Hits, Misses atomic.Int64 }

func (l *Lookups) count(hit bool) {
	if hit {
		l.Hits.Add(1)
	} else {
		l.Misses.Add(1)
	}
}

// Calls counts calls by what came of them.
type Calls struct{ Answered, TimedOut, Failed atomic.Int64 }

// GivenUp reports whether the shared cache is not asked at present, because it did not answer lately.
func (c *Counts) GivenUp() bool { return c.open.Load() }
