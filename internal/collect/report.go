package collect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Kind is a kind of thing that is collected.
type Kind string

// The kinds, in the order of a report.
const (
	KindTags         Kind = "tags"          // that a retention rule drops
	KindManifests    Kind = "manifests"     // that nothing names
	KindReferrers    Kind = "referrers"     // entries of manifests that are gone
	KindLinks        Kind = "links"         // to blobs that no manifest of the repository refers to
	KindBlobs        Kind = "blobs"         // that no repository has
	KindSessions     Kind = "sessions"      // uploads that nobody goes on with
	KindUploads      Kind = "store uploads" // that a replica began at the store and never finished
	KindOrphans      Kind = "orphans"       // segments that no record names
	KindMarkers      Kind = "markers"       // of tags at manifests that are gone
	KindRepositories Kind = "repositories"  // without a tag and a manifest
	KindMerged       Kind = "merged blobs"  // that were in very many segments
	KindTombstones   Kind = "tombstones"    //
)

var kinds = []Kind{KindTags, KindManifests, KindReferrers, KindLinks, KindBlobs, KindSessions, KindUploads, KindOrphans, KindMarkers, KindRepositories, KindMerged, KindTombstones}

// Count is what a pass did with things of one kind.
type Count struct {
	Found      int64 `json:"found"`      // nothing seemed to need them
	Freed      int64 `json:"freed"`      // they are gone
	Rescued    int64 `json:"rescued"`    // somebody needed them after all
	Left       int64 `json:"left"`       // they could not be removed
	FreedBytes int64 `json:"freedBytes"` // of data
	FoundBytes int64 `json:"foundBytes"` //
}

// Report is what a pass found, freed and left.
type Report struct {
	Full         bool            `json:"full"`
	DryRun       bool            `json:"dryRun"`
	Started      time.Time       `json:"started"`
	Ended        time.Time       `json:"ended,omitzero"`
	Repositories int64           `json:"repositories"` // looked at
	Records      int64           `json:"records"`      // looked at, by a full pass
	Counts       map[Kind]*Count `json:"counts"`
	Skipped      []string        `json:"skipped,omitempty"` // what could not be understood, and was left alone; at most maxSkipped
	SkippedMore  int64           `json:"skippedMore,omitempty"`
	Failed       string          `json:"failed,omitempty"` // why the pass ended early; what it had not done is left for the next
}

const maxSkipped = 100

func (r *Report) of(k Kind) *Count {
	if r.Counts == nil {
		r.Counts = map[Kind]*Count{}
	}
	if r.Counts[k] == nil {
		r.Counts[k] = &Count{}
	}
	return r.Counts[k]
}

func (r *Report) skip(format string, args ...any) {
	if len(r.Skipped) < maxSkipped {
		r.Skipped = append(r.Skipped, fmt.Sprintf(format, args...))
	} else {
		r.SkippedMore++
	}
}

// Total is the sum over all kinds.
func (r *Report) Total() Count {
	var sum Count
	for _, c := range r.Counts {
		sum.Found += c.Found
		sum.Freed += c.Freed
		sum.Rescued += c.Rescued
		sum.Left += c.Left
		sum.FoundBytes += c.FoundBytes
		sum.FreedBytes += c.FreedBytes
	}
	return sum
}

// FreedBytes are all bytes of data that were freed.
func (r *Report) FreedBytes() int64 {
	var sum int64
	for _, c := range r.Counts {
		sum += c.FreedBytes
	}
	return sum
}

// WriteTable prints the report for people.
func (r *Report) WriteTable(out io.Writer) error {
	var text bytes.Buffer // whose writes do not fail
	what := "what changed"
	if r.Full {
		what = "everything"
	}
	if r.DryRun {
		what += ", dry run: nothing was written"
	}
	_, _ = fmt.Fprintf(&text, "looked at %s: %d repositories, %s\n", what, r.Repositories, r.Ended.Sub(r.Started).Round(time.Millisecond))
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "\tfound\tfreed\trescued\tleft\tbytes found\tbytes freed\t")
	for _, k := range kinds {
		if c := r.Counts[k]; c != nil && *c != (Count{}) {
			_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", k, c.Found, c.Freed, c.Rescued, c.Left, c.FoundBytes, c.FreedBytes)
		}
	}
	_ = w.Flush()
	for _, s := range r.Skipped {
		_, _ = fmt.Fprintln(&text, "left alone:", s)
	}
	if r.SkippedMore > 0 {
		_, _ = fmt.Fprintf(&text, "left alone: and %d more\n", r.SkippedMore)
	}
	if r.Failed != "" {
		_, _ = fmt.Fprintln(&text, "ended early:", r.Failed)
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("collect: print a report: %w", err)
	}
	return nil
}

// WriteJSON prints the report for programs.
func (r *Report) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("collect: print a report: %w", err)
	}
	return nil
}
