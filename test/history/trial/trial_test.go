package trial

import (
	"strings"
	"testing"

	"holdfast/test/history/judge"
	"holdfast/test/history/store"
)

func TestConclusion(t *testing.T) {
	problem := judge.Problem{Rule: "M1", About: "tag", Text: "lost"}
	for _, test := range []struct {
		name   string
		result Result
		want   Conclusion
		says   string
	}{
		{"enough was asked", Result{Verdict: &judge.Verdict{}, Rate: 60, Wanted: 50}, Holds, "all rules hold"},
		{"too little was asked", Result{Verdict: &judge.Verdict{}, Rate: 40, Wanted: 50}, Inconclusive, "INCONCLUSIVE"},
		{"the time was not enough", Result{Verdict: &judge.Verdict{Undecided: []string{"tag"}}, Rate: 60, Wanted: 50}, Inconclusive, "undecided: tag"},
		{"a rule is broken", Result{Verdict: &judge.Verdict{Problems: []judge.Problem{problem}}, Rate: 60, Wanted: 50}, Broken, "M1  tag: lost"},
		{"a rule is broken, and little was asked", Result{Verdict: &judge.Verdict{Problems: []judge.Problem{problem}}, Rate: 1, Wanted: 50}, Broken, "BROKEN"},
		{"the store is not in order", Result{Verdict: &judge.Verdict{}, Store: &store.Report{Problems: []string{"a segment"}}, Rate: 60, Wanted: 50}, Broken, "S  a segment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.result.Conclusion(); got != test.want {
				t.Errorf("concludes %d, want %d", got, test.want)
			}
			if text := test.result.String(); !strings.Contains(text, test.says) {
				t.Errorf("says %q, want %q in it", text, test.says)
			}
		})
	}
}
