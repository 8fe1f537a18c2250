package cached

import (
	"bytes"
	"time"

	"github.com/maypok86/otter/v2"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// fence is where a repository's fence was at some time. The nonce tells two fences of one epoch apart: those of before and after somebody brought back
// an earlier state of the bucket. The zero value is that of a repository whose fence was never raised.
type fence struct {
	epoch uint64
	nonce string
}

// knownFence is a fence with its record, the zero record where there is none.
type knownFence struct {
	fence
	rec record.Record
}

// seenLink is a link that was seen live, after its repository's fence was read and was where it says.
type seenLink struct {
	under fence
	rec   record.Record
	until time.Time // by the store's clock: forgotten after that, whatever the fence says
}

// memory is the first level: what this process has seen itself, or verified. Bounded. Safe for concurrent use.
type memory struct {
	links  *otter.Cache[record.Key, seenLink]
	fences *otter.Cache[oci.Repository, knownFence]
}

const (
	defaultMemory = 32 << 20 // bytes
	entryOverhead = 256      // bytes that an entry takes beside its key and value, about
	fenceBytes    = 1 << 10  // that a fence takes, about
)

// newMemory returns a memory of about so many bytes, of which fences have a sixteenth.
func newMemory(maxBytes int64) *memory {
	if maxBytes <= 0 {
		maxBytes = defaultMemory
	}
	return &memory{
		links: otter.Must(&otter.Options[record.Key, seenLink]{
			MaximumWeight: uint64(max(maxBytes-maxBytes/16, 1)),
			Weigher: func(key record.Key, l seenLink) uint32 {
				return uint32(len(key) + len(l.rec.Value) + len(l.rec.Version) + len(l.under.nonce) + entryOverhead) //nolint:gosec // a value has 5 MiB at most
			},
		}),
		fences: otter.Must(&otter.Options[oci.Repository, knownFence]{MaximumSize: int(max(maxBytes/16/fenceBytes, 1))}),
	}
}

// withoutPadding returns a value without the spaces that make its state visible in a list: for who decodes it they mean nothing.
func withoutPadding(value []byte) []byte {
	head, body, found := bytes.Cut(value, []byte{'\n'})
	if !found {
		return value
	}
	head = bytes.TrimRight(head, " ")
	out := make([]byte, 0, len(head)+1+len(body))
	out = append(out, head...)
	out = append(out, '\n')
	return append(out, body...)
}

// asFence reads a fence's record; a zero one is that of no fence.
func asFence(values format.Store, key record.Key, rec record.Record) (knownFence, error) {
	if rec.Version == "" {
		return knownFence{}, nil
	}
	f, err := format.Parse[format.Fence](values, key, rec)
	if err != nil {
		return knownFence{}, err
	}
	// A void fence counts as none for its readers, and is a value all the same: its nonce says which.
	rec.Value = withoutPadding(rec.Value)
	return knownFence{fence{f.Head.Epoch, f.Head.Nonce}, rec}, nil
}
