package scrub

import (
	"sync/atomic"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/oci"
)

// How much a report names; beyond that it counts. A report is saved with the progress of a round and must stay small.
const (
	namedDamages      = 100
	namedRepositories = 10
	namedTags         = 20
)

// Report says what a round has seen. A round that died and went on counts what it did before its last save once, and nothing that it did after.
type Report struct {
	Started      time.Time `json:"started"`
	Ended        time.Time `json:"ended,omitzero"`   // zero while the round goes on
	Stopped      time.Time `json:"stopped,omitzero"` // when it stopped for ErrTooMuch, and until it goes on
	Records      int64     `json:"records"`          // blob records whose bytes were read
	Segments     int64     `json:"segments"`         // and their segments
	Bytes        int64     `json:"bytes"`            // and the bytes of those
	Manifests    int64     `json:"manifests"`        // manifests and tags whose bytes were checked
	Damaged      []Damage  `json:"damaged"`          // the first hundred, in the order in which they were found
	DamagedTotal int64     `json:"damagedTotal"`
	Skipped      int64     `json:"skipped"` // could not be read, or changed all the time: for the next round
}

// Kind says what is wrong.
type Kind string

// The kinds of damage.
const (
	Altered  Kind = "altered"  // the bytes of a blob are not its digest's
	Short    Kind = "short"    // a segment has fewer bytes than its record says
	Missing  Kind = "missing"  // a segment is not there
	Marked   Kind = "marked"   // a blob was found damaged before this round, and nobody has pushed it since
	Manifest Kind = "manifest" // the bytes of a manifest are not its digest's
	Tag      Kind = "tag"      // nor are those that a tag carries
	Record   Kind = "record"   // a record cannot be read
)

// Damage is something that is not what it was. Repositories and Tags are those that it is missed in: by direct reference, and by indexes
// over these.
type Damage struct {
	Kind         Kind             `json:"kind"`
	Digest       oci.Digest       `json:"digest,omitempty"`
	Key          string           `json:"key"`               // of the record
	Segment      data.ID          `json:"segment,omitempty"` // "" when the blob has several and it is not known which
	Repositories []oci.Repository `json:"repositories,omitempty"`
	Tags         []string         `json:"tags,omitempty"` // repository:tag
	More         bool             `json:"more,omitempty"` // there are more repositories or tags than are named, or not all could be read
}

// Counters are for metrics; they only grow, over all rounds of a process.
type Counters struct {
	Rounds   atomic.Int64 // ended
	Records  atomic.Int64 // blob records whose bytes were read
	Bytes    atomic.Int64
	Damaged  atomic.Int64 // damages that were not known before; a manifest, a tag or a record that cannot be read counts in each round
	Skipped  atomic.Int64
	Failures atomic.Int64 // rounds that stopped before their end, for want of the store
}
