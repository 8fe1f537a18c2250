package fsck

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/internal/record"
)

// Report is what a run found.
type Report struct {
	Started  time.Time       `json:"started"` // both by the store's clock
	Ended    time.Time       `json:"ended"`
	Checked  map[Class]int64 `json:"checked"` // values that were read, and segments that were listed
	Bytes    Bytes           `json:"bytes"`
	InFlight int64           `json:"inFlight"` // suspicions that were gone, or excused by a request under way, when looked at again
	Counts   map[Kind]int64  `json:"counts"`   // of all findings, those beyond Config.MaxFindings included
	Findings []Finding       `json:"findings"` // worst first
	Repaired []Repair        `json:"repaired"` // what was written, in order

	unrepaired map[Severity]int64
}

// Bytes are sums of sizes.
type Bytes struct {
	Blobs         int64 `json:"blobs"`         // of blob records live and condemned
	Links         int64 `json:"links"`         // of links live and condemned: what the blobs would take without deduplication
	Segments      int64 `json:"segments"`      // stored
	UnnamedYoung  int64 `json:"unnamedYoung"`  // stored, named by nothing, younger than the age Orphan: uploads under way, or waste to be
	UnnamedOrphan int64 `json:"unnamedOrphan"` // stored, named by nothing, older
}

// Finding is a broken invariant.
type Finding struct {
	Kind     Kind         `json:"kind"`
	Severity Severity     `json:"severity"`
	Keys     []record.Key `json:"keys"`               // what it rests on, the broken one first; a segment is d/<id>
	Detail   string       `json:"detail"`             // what was seen
	Do       string       `json:"do"`                 // what to do about it
	Bytes    int64        `json:"bytes,omitempty"`    // of waste
	Repaired bool         `json:"repaired,omitempty"` // mended for good
}

// same reports whether two looks found the same.
func (f *Finding) same(g Finding) bool { return f.Kind == g.Kind && slices.Equal(f.Keys, g.Keys) }

// Repair is something that was mended.
type Repair struct {
	Kind Kind         `json:"kind"`
	Keys []record.Key `json:"keys"`
	Did  string       `json:"did"`
}

// Worst is the severity of the worst finding that was not mended, "" when there is none. What a repair has only marked, so that clients
// push it again, is not mended.
func (r *Report) Worst() Severity {
	for _, s := range []Severity{Lost, Wrong, Waste} {
		if r.unrepaired[s] > 0 {
			return s
		}
	}
	return ""
}

// order sorts the findings, worst first.
func (r *Report) order() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(b.Severity.rank()-a.Severity.rank(), cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Keys, b.Keys))
	})
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	p := func(format string, args ...any) { fmt.Fprintf(t, format, args...) } //nolint:errcheck // a tabwriter keeps its first error for Flush
	p("CHECKED\tVALUES\n")
	for _, c := range slices.Sorted(maps.Keys(r.Checked)) {
		p("%s\t%d\n", c, r.Checked[c])
	}
	p("\nBYTES\t\n")
	p("blobs\t%d\n", r.Bytes.Blobs)
	p("links\t%d\n", r.Bytes.Links)
	p("segments\t%d\n", r.Bytes.Segments)
	p("unnamed, young\t%d\n", r.Bytes.UnnamedYoung)
	p("unnamed, old\t%d\n", r.Bytes.UnnamedOrphan)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("fsck: write the report: %w", err)
	}
	p("\n")
	if len(r.Findings) == 0 {
		p("no findings\n")
	} else {
		p("SEVERITY\tKIND\tKEY\tMENDED\n")
		for _, f := range r.Findings {
			p("%s\t%s\t%s\t%s\n", f.Severity, f.Kind, f.Keys[0], map[bool]string{true: "yes", false: "no"}[f.Repaired])
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("fsck: write the report: %w", err)
	}
	for _, f := range r.Findings {
		var others []string
		for _, k := range f.Keys[1:] {
			others = append(others, "  see "+string(k)+"\n")
		}
		if _, err := fmt.Fprintf(w, "\n%s %s\n  %s\n%s  %s\n", f.Kind, f.Keys[0], f.Detail, strings.Join(others, ""), f.Do); err != nil {
			return fmt.Errorf("fsck: write the report: %w", err)
		}
	}
	return r.writeMore(w)
}

// writeMore says what the report does not show.
func (r *Report) writeMore(w io.Writer) error {
	shown := map[Kind]int64{}
	for _, f := range r.Findings {
		shown[f.Kind]++
	}
	for _, k := range slices.Sorted(maps.Keys(r.Counts)) {
		if more := r.Counts[k] - shown[k]; more > 0 {
			if _, err := fmt.Fprintf(w, "\n%d more of %s\n", more, k); err != nil {
				return fmt.Errorf("fsck: write the report: %w", err)
			}
		}
	}
	return nil
}
