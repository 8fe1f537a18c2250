package metrics_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/collect/scrub"
	"holdfast/internal/format"
	"holdfast/internal/observe/metrics"
	recordmem "holdfast/internal/record/mem"
)

// scrape returns the lines of the metrics that are of this program.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v", w.Code, err)
	}
	var own []string
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "holdfast_") {
			own = append(own, line)
		}
	}
	return strings.Join(own, "\n")
}

func TestPassesAddUp(t *testing.T) {
	m := metrics.New("v1")
	began := time.Unix(1_800_000_000, 0)
	pass := func(failed error, dryRun bool) {
		r := &collect.Report{DryRun: dryRun, Started: began, Ended: began.Add(1500 * time.Millisecond), Counts: map[collect.Kind]*collect.Count{
			collect.KindBlobs: {Found: 5, Freed: 3, Rescued: 1, Left: 1, FreedBytes: 100},
		}}
		if failed != nil {
			r.Failed = failed.Error()
			r.Ended = r.Ended.Add(time.Hour)
		}
		m.Pass("/", r)
	}
	pass(nil, false)
	pass(errors.New("the store is gone"), false)
	pass(nil, true)
	got := scrape(t, m)
	for _, want := range []string{
		`holdfast_gc_found_total{kind="blobs",store="/"} 10`,
		`holdfast_gc_freed_total{kind="blobs",store="/"} 6`,
		`holdfast_gc_rescued_total{kind="blobs",store="/"} 2`,
		`holdfast_gc_left_total{kind="blobs",store="/"} 2`,
		`holdfast_gc_freed_bytes_total{kind="blobs",store="/"} 200`,
		`holdfast_gc_passes_total{complete="true",full="false",store="/"} 1`,
		`holdfast_gc_passes_total{complete="false",full="false",store="/"} 1`,
		`holdfast_gc_last_pass_timestamp_seconds{store="/"} 1.8000000015e+09`,
		`holdfast_gc_last_pass_duration_seconds{store="/"} 1.5`,
		`holdfast_build_info{goversion="` + runtime.Version() + `",version="v1"} 1`,
	} {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
}

// TestWhatOthersCount: the metrics of two stores, one without hints, are read when they are asked for.
func TestWhatOthersCount(t *testing.T) {
	m := metrics.New("v1")
	records := recordmem.New(recordmem.Config{})
	hints := collect.NewHints(format.Store{Records: records, Ages: format.DefaultAges()}, slog.New(slog.DiscardHandler))
	scrubbed := &scrub.Counters{}
	m.Store("/", hints, scrubbed)
	m.Store("/a", nil, &scrub.Counters{})
	hints.Changed("a")
	if err := hints.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	scrubbed.Damaged.Add(2)
	got := scrape(t, m)
	for _, want := range []string{
		`holdfast_gc_hints_written_total{store="/"} 1`, `holdfast_gc_hints_dropped_total{store="/"} 0`,
		`holdfast_scrub_damaged_total{store="/"} 2`, `holdfast_scrub_damaged_total{store="/a"} 0`,
		`holdfast_gc_passes_total{complete="true",full="false",store="/"} 0`,
	} {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, `hints_written_total{store="/a"}`) {
		t.Error("a store without hints has metrics of hints")
	}
}
