package metrics_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/observe/metrics"
	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
)

// BenchmarkRequest is what the edge costs a request, with its metrics and its line in the log.
func BenchmarkRequest(b *testing.B) {
	h := request.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), request.Config{
		Route: func(r *http.Request) request.Route {
			return request.Route{Name: "manifest", Repository: "a/b", Path: r.URL.Path}
		},
		Observers: []request.Observer{metrics.New("v1")},
	}, slog.New(request.Logs(slog.NewJSONHandler(discard{}, nil))))
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v2/a/b/manifests/v1", http.NoBody)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkStore is what an operation on a store costs beside itself.
func BenchmarkStore(b *testing.B) {
	all := stores.Observers{metrics.New("v1")}
	b.ReportAllocs()
	for b.Loop() {
		_, done := all.S3(b.Context(), "GetObject", "r/00/a.b/t/v1")
		done(1, nil)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
