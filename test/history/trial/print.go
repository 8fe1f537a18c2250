package trial

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// String is a report for people: every problem with its calls, then the sum.
func (r *Result) String() string {
	var b strings.Builder
	for i := range r.Problems {
		fmt.Fprintf(&b, "%s\n", &r.Problems[i])
	}
	for _, about := range r.Undecided {
		fmt.Fprintf(&b, "undecided: %s\n", about)
	}
	fmt.Fprintf(&b, "%d calls, %d writes acknowledged, %d unknown, %.0f answered a second (wanted %.0f)\n", r.Calls, r.Acknowledged, r.Unknown, r.Rate, r.Wanted)
	for _, outcome := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(&b, "  %d failed: %s\n", r.Failed[outcome], outcome)
	}
	if r.Store != nil {
		for _, text := range r.Store.Problems {
			fmt.Fprintf(&b, "S  %s\n", text)
		}
		fmt.Fprintf(&b, "%s\n", r.Store)
	} else {
		b.WriteString("store: not looked at\n")
	}
	fmt.Fprintf(&b, "%d objects judged in %s: ", r.Objects, r.Took.Round(time.Millisecond))
	switch r.Conclusion() {
	case Broken:
		fmt.Fprintf(&b, "BROKEN, see above\n")
	case Inconclusive:
		b.WriteString("INCONCLUSIVE\n")
	default:
		b.WriteString("all rules hold\n")
	}
	return b.String()
}
