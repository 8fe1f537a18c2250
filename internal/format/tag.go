package format

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/internal/oci"
)

// Tag is a tag; up to InlineBytes of the manifest stand after it. A tombstone says what the tag named last, in Digest, Pushed and PushedBy, and
// who deleted it, in By.
type Tag struct {
	Meta
	Digest     oci.Digest `json:"digest"`
	Generation string     `json:"g,omitempty"` // the life of the manifest that it was set under
	MediaType  string     `json:"mediaType,omitempty"`
	Size       int64      `json:"size,omitempty"`
	Pushed     time.Time  `json:"pushed,omitzero"` // when it was set; T is later once a delete has touched it
	PushedBy   string     `json:"pushedBy,omitempty"`
	By         string     `json:"by,omitempty"`
	Previous   []Previous `json:"previous,omitempty"` // newest first, at most KeptPrevious
}

// Previous is what a tag named before.
type Previous struct {
	Digest    oci.Digest `json:"digest"`
	T         time.Time  `json:"t"` // when it was set; when that is not known, when it was deleted
	By        string     `json:"by,omitempty"`
	Deleted   time.Time  `json:"deleted,omitzero"` // when the tag was deleted while it named this; zero: it was set to the next
	DeletedBy string     `json:"deletedBy,omitempty"`
}

// AsPrevious is what the history keeps of a tag, or of a tombstone, once it is replaced.
func (h *Tag) AsPrevious() Previous {
	p := Previous{Digest: h.Digest, T: h.Pushed, By: h.By}
	if p.T.IsZero() {
		p.T = h.T
	}
	if h.State == Dead {
		p.By, p.Deleted, p.DeletedBy = h.PushedBy, h.T, h.By
	}
	return p
}

// Until is when the tag was set to what came after Previous[i], at the latest: the grace of that begins then.
func (h *Tag) Until(i int) time.Time {
	if i == 0 {
		return h.AsPrevious().T
	}
	return h.Previous[i-1].T
}

// Tombstone is what a tag is buried under. It says what old named, who buried it, and as much of old's history as DeadSize has room for: first
// the newest digests, each once, and since when; then since when and by whom the last was set; then who set the others. There is always
// room for one of the digests before. Names are cut.
func Tombstone(old Stored[Tag], by string) Tag {
	was := old.Head.AsPrevious()
	head := Tag{Digest: was.Digest, By: clipName(by)}
	head.State = Dead
	try := func(change func(*Tag)) bool {
		more := head
		more.Previous = slices.Clone(head.Previous)
		change(&more)
		fits := fitsTombstone(more, !old.Exists())
		if fits {
			head = more
		}
		return fits
	}
	before := others(was.Digest, old.Head.Previous)
	for _, p := range before {
		if !try(func(h *Tag) { h.Previous = append(h.Previous, Previous{Digest: p.Digest, T: p.T}) }) {
			break // nothing older without it: what is kept has no gaps
		}
	}
	try(func(h *Tag) { h.Pushed = was.T })
	try(func(h *Tag) { h.PushedBy = was.By })
	for i := range head.Previous {
		try(func(h *Tag) { h.Previous[i] = before[i] })
	}
	return head
}

// others leaves out of a history what names d, or the same as something newer.
func others(d oci.Digest, history []Previous) []Previous {
	seen := map[oci.Digest]bool{d: true}
	var out []Previous
	for _, p := range history {
		if !seen[p.Digest] {
			seen[p.Digest] = true
			out = append(out, p)
		}
	}
	return out
}

// fitsTombstone reports whether a tombstone has room for h, also when it is written again at a time with three decimals.
func fitsTombstone(h Tag, fresh bool) bool {
	h.Meta = Meta{Version: Version, Nonce: RandomID(), State: Dead, T: time.UnixMilli(999).UTC(), Fresh: fresh}
	_, err := Encode(&h, nil)
	return err == nil
}

// maxNameJSON is how long a name may be in a tombstone, in bytes of JSON: as long as one that oci.Clip has cut and that needs no escapes.
const maxNameJSON = 64 + len("…") + len(`""`)

// clipName cuts a name for a tombstone.
func clipName(name string) string {
	cut := oci.Clip(name)
	for {
		text, err := json.Marshal(cut)
		if err == nil && len(text) <= maxNameJSON {
			return cut
		}
		rest := strings.TrimSuffix(cut, "…")
		_, size := utf8.DecodeLastRuneInString(rest)
		cut = rest[:len(rest)-size] + "…"
	}
}
