package fsck

import (
	"slices"
	"strconv"
	"sync"

	"holdfast/internal/data"
	"holdfast/internal/record"
)

// names are the segments in a range of ids that something names, by the first 64 bits of their random ids. When there are more than fit, the range
// becomes smaller from above, and another pass goes on from there. Safe for concurrent use.
type names struct {
	mu       sync.Mutex
	from, to uint64 // both inclusive
	max      int
	prints   []uint64
}

// lastPrint is the greatest fingerprint.
const lastPrint = 1<<64 - 1

func newNames(from uint64, most int) *names { return &names{from: from, to: lastPrint, max: most} }

// printOf returns the fingerprint of a valid id.
func printOf(id data.ID) uint64 {
	n, _ := strconv.ParseUint(string(id[:16]), 16, 64) // the id is valid
	return n
}

// add notes that a key names a segment.
func (n *names) add(_ record.Key, id data.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := printOf(id)
	if p < n.from || p > n.to {
		return
	}
	if len(n.prints) >= n.max {
		n.narrow()
		if p > n.to {
			return
		}
	}
	n.prints = append(n.prints, p)
}

// narrow makes room: it keeps the lower half, and of a segment that is named again and again two.
func (n *names) narrow() {
	slices.Sort(n.prints)
	kept := n.prints[:0]
	for _, p := range n.prints {
		if len(kept) < 2 || p != kept[len(kept)-2] {
			kept = append(kept, p)
		}
	}
	n.prints = kept
	if half := n.max / 2; len(kept) > half {
		n.to = kept[half] - 1 // half is 8 or more, and no print is there three times: something is below
		i, _ := slices.BinarySearch(kept, kept[half])
		n.prints = kept[:i]
	}
}

// seal sorts the names, so that they can be searched, and returns those that are there more than once.
func (n *names) seal() (twice []uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.Sort(n.prints)
	for i, p := range n.prints {
		if i > 0 && p == n.prints[i-1] && (len(twice) == 0 || twice[len(twice)-1] != p) {
			twice = append(twice, p)
		}
	}
	return twice
}

func (n *names) has(p uint64) bool {
	_, found := slices.BinarySearch(n.prints, p)
	return found
}
