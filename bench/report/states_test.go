package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/bench/measure"
)

// TestStates: a row for each thing and state, a column for each subject, and a dash for what was not measured.
func TestStates(t *testing.T) {
	in := func(state, subject string, p50, requests, asked float64) measure.Line {
		l := line("thing-"+state, subject, 1, p50, 1)
		l.Title, l.State, l.Requests, l.Asked = "thing", state, requests, asked
		return l
	}
	r := Report{Name: "caches", Lines: []measure.Line{
		in("cold", "holdfast, none", 12.34, 14, 0), in("cold", "holdfast, redis", 10, 8, 7), in("warm", "holdfast, none", 11, 12, 0), line("other", "holdfast", 1, 1, 1),
	}}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"caches.md":  {"|  |  | none | redis |\n", "| thing | cold | 12.3 / 14.0 | 10.0 / 8.0 / 7.0 |\n", "|  | warm | 11.0 / 12.0 | - |\n"},
		"caches.txt": {"10.0 / 8.0 / 7.0\n", "\nthing, 0 clients (thing-cold)\n"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: no %q in\n%s", name, w, text)
			}
		}
	}
	if got := (&Report{Lines: []measure.Line{line("other", "holdfast", 1, 1, 1)}}).States(true); got != "" {
		t.Errorf("a table of nothing: %q", got)
	}
}
