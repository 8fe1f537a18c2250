package measure_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"holdfast/bench/measure"
	"holdfast/bench/report"
	"holdfast/bench/rows"
	"holdfast/bench/site"
	"holdfast/test/cluster"
)

// TestBench: a tiny round of some rows against real replicas, over a directory and over a bucket. The figures are there, whatever they are.
func TestBench(t *testing.T) {
	binary, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// Short: the path of HAProxy's socket must fit into 100 bytes.
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	place, err := site.New(dir, "", map[site.Kind]string{site.Holdfast: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(place.Close)
	runner := measure.New(place, measure.Options{Rounds: 1, Span: 50 * time.Millisecond, Latency: time.Millisecond}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	var all report.Report
	lines := map[string]measure.Line{}
	for _, row := range rows.Tiny() {
		got, err := runner.Row(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got {
			lines[l.Row+", "+l.Subject] = l
		}
		all.Lines = append(all.Lines, got...)
	}
	for _, one := range []struct {
		name          string
		local, direct bool
	}{
		{name: "manifest-put, holdfast", local: true},
		{name: "manifest-put, holdfast, commit", local: true},
		{name: "manifest-get, holdfast"},
		{name: "manifest-get, s3", direct: true},
		{name: "start, holdfast"},
		{name: "storm, holdfast"},
		{name: "three, holdfast"},
		{name: "three, holdfast, three"},
		{name: "remembered-cold, holdfast, none"},
		{name: "remembered-cold, holdfast, redis"},
	} {
		l := lines[one.name]
		if l.Operations == 0 || l.Rate <= 0 || l.P50 <= 0 || l.P999 < l.P50 {
			t.Errorf("%s: %+v", one.name, l)
		}
		if (l.Peak > 0) == one.direct {
			t.Errorf("%s: a peak of %.0f MiB", one.name, l.Peak)
		}
		if (l.Requests > 0) == one.local {
			t.Errorf("%s: %.2f requests to the store", one.name, l.Requests)
		}
	}
	if len(lines) != 10 {
		t.Errorf("%d lines", len(lines))
	}
	if l := lines["manifest-get, s3"]; l.Requests != 1 || l.Kinds["get"] != 1 {
		t.Errorf("the S3 server itself: %.2f requests for an operation, %v", l.Requests, l.Kinds)
	}
	if l := lines["storm, holdfast"]; l.Operations != 4 || l.Downloaded < 1 {
		t.Errorf("the storm: %d operations, %.2f layers read", l.Operations, l.Downloaded)
	}
	if l := lines["three, holdfast"]; l.Latency != "2ms" || l.Up < 2<<10 {
		t.Errorf("a push: latency %s, %.0f bytes to the store", l.Latency, l.Up)
	}
	none, redis := lines["remembered-cold, holdfast, none"], lines["remembered-cold, holdfast, redis"]
	if none.Operations != 2 || none.Asked+none.Late > 0 || redis.Operations != 2 || redis.Asked+redis.Late == 0 {
		t.Errorf("reads of the shared cache: by who has none %+v; by who has one %+v", none, redis)
	}
	if redis.Found > 0 && redis.Requests >= none.Requests {
		t.Errorf("%.1f requests with what others remember, %.1f without", redis.Requests, none.Requests)
	}
	all.Verdicts = report.Judge(all.Lines, rows.Bars())
	if err := all.Write(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	again, err := report.Read(filepath.Join(dir, "out", "results.json"))
	if err != nil || len(again.Lines) != len(all.Lines) || len(again.Verdicts) == 0 {
		t.Errorf("%d lines and %d verdicts read, %v", len(again.Lines), len(again.Verdicts), err)
	}
}
