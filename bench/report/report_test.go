package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"holdfast/bench/measure"
	"holdfast/bench/rows"
)

func line(row, subject string, rate, p50, cpu float64) measure.Line {
	return measure.Line{Row: row, Title: row, Subject: subject, Operations: 1, Rate: rate, P50: p50, CPU: cpu}
}

func TestJudge(t *testing.T) {
	failed := line("c", "holdfast", 100, 1, 1)
	failed.Errors = 1
	lines := []measure.Line{
		line("a", "holdfast", 30, 500, 2), line("a", "zot", 10, 4000, 4),
		line("b", "holdfast", 1, 5500, 1), line("b", "distribution", 0, 0, 0),
		failed, line("c", "zot", 1, 1, 1),
	}
	got := Judge(lines, []rows.Bar{
		{Row: "a", Metric: rows.Rate, Against: "zot", Bound: 3, AtLeast: true},   // 3 times
		{Row: "a", Metric: rows.Rate, Against: "zot", Bound: 3.1, AtLeast: true}, // not
		{Row: "a", Metric: rows.CPU, Against: "zot", Bound: 0.4},                 // 0.5: not
		{Row: "a", Metric: rows.Took, Against: "zot", Bound: 8, AtLeast: true},   // 8 times as fast
		{Row: "a", Metric: rows.Took, Bound: 1},                                  // 0.5 s
		{Row: "b", Metric: rows.Took, OtherRow: "a", Bound: 12},                  // 11 times as long
		{Row: "b", Metric: rows.Took, OtherRow: "a", Bound: 10},                  // not
		{Row: "b", Metric: rows.Rate, Against: "distribution", Bound: 1},         // it did nothing: left out
		{Row: "a", Metric: rows.Rate, Against: "distribution", Bound: 1},         // it was not there: left out
		{Row: "none", Metric: rows.Rate, Against: "zot", Bound: 1},               // left out
		{Row: "c", Metric: rows.Rate, Against: "zot", Bound: 1, AtLeast: true},   // an error: not
	})
	want := []bool{true, false, false, true, true, true, false, false}
	if len(got) != len(want) {
		t.Fatalf("%d verdicts, want %d: %+v", len(got), len(want), got)
	}
	for i, v := range got {
		if v.Reached != want[i] {
			t.Errorf("%d: reached %v: %+v", i, v.Reached, v)
		}
	}
	r := Report{Lines: lines, Verdicts: got}
	for name, plot := range r.Plots() {
		decoder := xml.NewDecoder(strings.NewReader(plot))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if plots := r.Plots(); len(plots) != 1 || plots["against-zot.svg"] == "" {
		t.Errorf("%d plots", len(plots))
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "NOT REACHED") {
		t.Errorf("%v: %s", err, table.String())
	}
}
