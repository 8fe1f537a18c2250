package proxy

import "sync/atomic"

// Kind is a kind of request.
type Kind int

// The kinds. Copy is also of a part.
const (
	Get Kind = iota
	Head
	Put
	Part
	Create
	Complete
	Abort
	Copy
	Delete
	List
	ListUploads
	ListParts
	Other
	kinds
)

var names = [kinds]string{"get", "head", "put", "part", "create", "complete", "abort", "copy", "delete", "list", "list_uploads", "list_parts", "other"}

// String is the kind's name in reports.
func (k Kind) String() string { return names[k] }

// Counts are what has passed so far: requests by kind, and the bytes of their bodies to the store (Up) and of its answers (Down).
type Counts struct {
	Requests [kinds]int64
	Up, Down int64
}

// Total is the number of requests.
func (c Counts) Total() (n int64) {
	for _, k := range c.Requests {
		n += k
	}
	return n
}

// Since is what has passed after before was taken.
func (c Counts) Since(before Counts) Counts {
	for k := range c.Requests {
		c.Requests[k] -= before.Requests[k]
	}
	c.Up -= before.Up
	c.Down -= before.Down
	return c
}

// Plus is the sum of both.
func (c Counts) Plus(other Counts) Counts {
	for k := range c.Requests {
		c.Requests[k] += other.Requests[k]
	}
	c.Up += other.Up
	c.Down += other.Down
	return c
}

// ByName are the requests by the names of their kinds, without those that there were none of.
func (c Counts) ByName() map[string]int64 {
	m := map[string]int64{}
	for k, n := range c.Requests {
		if n != 0 {
			m[Kind(k).String()] = n
		}
	}
	return m
}

type counters struct {
	requests [kinds]atomic.Int64
	up, down atomic.Int64
}

func (c *counters) counts() (all Counts) {
	for k := range c.requests {
		all.Requests[k] = c.requests[k].Load()
	}
	all.Up, all.Down = c.up.Load(), c.down.Load()
	return all
}
