package metrics_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	dto "github.com/prometheus/client_model/go"

	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

func expect(t *testing.T, got string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
}

// TestRequests: requests are counted by route, whatever their paths and methods are.
func TestRequests(t *testing.T) {
	m := metrics.New("v1")
	var during string
	h := request.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == "PATCH" {
			during = scrape(t, m)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("ok"))
	}), request.Config{
		Route:     func(r *http.Request) request.Route { return request.Route{Name: "upload", Path: r.URL.Path} },
		Observers: []request.Observer{m},
	}, slog.New(slog.DiscardHandler))
	for i, method := range []string{"PATCH", "GET", "BREW", "STIR"} {
		r := httptest.NewRequestWithContext(t.Context(), method, fmt.Sprintf("/v2/repo-%d/blobs/uploads/x", i), strings.NewReader("12345"))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	expect(t, during, `holdfast_http_requests_in_flight{route="upload"} 1`, `holdfast_uploads_in_flight 1`)
	after := scrape(t, m)
	expect(t, after,
		`holdfast_http_requests_total{code="202",method="PATCH",route="upload"} 1`,
		`holdfast_http_requests_total{code="202",method="other",route="upload"} 2`,
		`holdfast_http_request_bytes_total{method="PATCH",route="upload"} 5`,
		`holdfast_http_response_bytes_total{method="GET",route="upload"} 2`,
		`holdfast_http_request_duration_seconds_count{method="GET",route="upload"} 1`,
		`holdfast_http_request_duration_seconds_bucket{method="GET",route="upload",le="300"} 1`,
		`holdfast_http_requests_in_flight{route="upload"} 0`, `holdfast_uploads_in_flight 0`)
	for _, word := range []string{"repo-", "BREW"} {
		if strings.Contains(after, word) {
			t.Errorf("a label holds %q, which clients choose", word)
		}
	}
}

func TestStores(t *testing.T) {
	m := metrics.New("v1")
	records := stores.Observers{m}.Records(stores.Bolt, recordmem.New(recordmem.Config{}))
	_, _ = records.Get(t.Context(), "cfg/format")
	_, done := stores.Observers{m}.S3(t.Context(), "GetObject", "b/00/x")
	done(3, nil)
	m.Silent("/", func() bool { return true })
	m.Disk("/", func() (uint64, uint64, bool) { return 10, 100, true })
	m.Disk("/gone", func() (uint64, uint64, bool) { return 0, 0, false })
	lookups := &registry.Lookups{}
	lookups.Hits.Add(2)
	m.Memories("/", map[string]*registry.Lookups{"fence": lookups})
	got := scrape(t, m)
	expect(t, got,
		`holdfast_store_requests_total{kind="bolt",operation="Get",outcome="not_found"} 1`,
		`holdfast_store_requests_total{kind="s3",operation="GetObject",outcome="ok"} 1`,
		`holdfast_store_retries_total{kind="s3",operation="GetObject"} 2`,
		`holdfast_store_request_duration_seconds_count{kind="s3",operation="GetObject"} 1`,
		`holdfast_store_silent{store="/"} 1`, `holdfast_disk_free_bytes{store="/"} 10`, `holdfast_disk_size_bytes{store="/"} 100`,
		`holdfast_cache_lookups_total{cache="fence",result="hit",store="/"} 2`, `holdfast_cache_lookups_total{cache="fence",result="miss",store="/"} 0`)
	if strings.Contains(got, "/gone") {
		t.Error("a disk that cannot be asked has a size")
	}
}

func TestState(t *testing.T) {
	m := metrics.New("v1")
	ready := false
	m.State(metrics.State{
		Ready: func() bool { return ready }, Draining: func() bool { return true }, Refused: func() bool { return false },
		Silent: func() time.Duration { return 1500 * time.Millisecond }, Memory: func() (int64, int64) { return 1, 2 }, Warm: func() int64 { return 3 },
	})
	expect(t, scrape(t, m), `holdfast_ready 0`, `holdfast_draining 1`, `holdfast_store_refused 0`, `holdfast_store_last_answer_seconds 1.5`,
		`holdfast_upload_memory_bytes 1`, `holdfast_blob_memory_bytes 3`, `holdfast_upload_memory_limit_bytes 2`)
	ready = true
	expect(t, scrape(t, m), `holdfast_ready 1`)
}

// TestNative: who asks for protobuf, as Prometheus does, gets native histograms.
func TestNative(t *testing.T) {
	m := metrics.New("v1")
	_, done := stores.Observers{m}.S3(t.Context(), "GetObject", "b/00/x")
	done(1, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	for {
		family := &dto.MetricFamily{}
		if err := protodelim.UnmarshalFrom(w.Body, family); err != nil {
			t.Fatal("there is no such histogram: ", err)
		}
		if family.GetName() != "holdfast_store_request_duration_seconds" {
			continue
		}
		h := family.GetMetric()[0].GetHistogram()
		if h.Schema == nil || len(h.GetPositiveSpan()) == 0 || len(h.GetBucket()) == 0 {
			t.Errorf("not native and classic: %v", h)
		}
		return
	}
}
