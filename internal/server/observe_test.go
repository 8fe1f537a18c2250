package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// running is a server over a directory.
type running struct {
	url   string
	log   *lines
	admin func() string // where its listener for those who watch is
	stop  func() error
}

func runServer(t testing.TB, edit func(*Config)) *running {
	t.Helper()
	cfg := Config{Version: "test", Storage: Storage{Dir: t.TempDir()}, Address: "127.0.0.1:0", DrainTimeout: time.Second}
	edit(&cfg)
	r := &running{log: &lines{}}
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, cfg, slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(a net.Addr) { at <- a.String() })
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = r.stop() })
	select {
	case address := <-at:
		r.url = "http://" + address
	case err := <-ended:
		t.Fatal(err)
	}
	r.admin = func() string {
		var line struct{ Address string }
		for _, text := range r.log.having("listening for metrics") {
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Error(err)
			}
		}
		return "http://" + line.Address
	}
	return r
}

func fetch(t *testing.T, method, url string, header http.Header) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// TestTraced: a request to a server is one trace, with a span for each operation on its store; the log names it.
func TestTraced(t *testing.T) {
	spans := map[string]string{} // name: kind of the key
	var mu sync.Mutex
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range export.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans() {
			spans[s.GetName()] = ""
			for _, a := range s.GetAttributes() {
				if a.GetKey() == "holdfast.store.key" {
					spans[s.GetName()] = a.GetValue().GetStringValue()
				}
			}
		}
	}))
	defer to.Close()
	r := runServer(t, func(cfg *Config) { cfg.Observe.Traces = to.URL + "/v1/traces" })
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	status, _, header := fetch(t, "GET", r.url+"/v2/a/manifests/v1", http.Header{"Traceparent": {"00-" + id + "-00f067aa0ba902b7-01"}, "X-Request-Id": {"r-1"}})
	if status != http.StatusNotFound || header.Get("X-Request-Id") != "r-1" {
		t.Errorf("%d %v", status, header)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if _, ok := spans["GET manifest"]; !ok || spans["bolt Get"] != "tag" {
		t.Errorf("the spans are %v", spans)
	}
	if found := r.log.having(`"msg":"request"`, `"trace":"`+id+`"`, `"request":"r-1"`, `"route":"manifest"`); len(found) != 1 {
		t.Errorf("the log does not name the trace: %v", found)
	}
}

// TestAdminListener: it has what the clients' listener has not, and is there until the drain has ended.
func TestAdminListener(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.Observe.AdminAddress, cfg.DrainDelay = "127.0.0.1:0", 2*time.Second })
	admin := r.admin()
	for path, says := range map[string]string{"/metrics": "holdfast_ready 1", "/readyz": "ready", "/livez": "alive", "/startupz": "started", "/debug/pprof/heap?debug=1": "heap profile", "/debug/pprof/": "goroutine"} {
		if status, body, _ := fetch(t, "GET", admin+path, nil); status != http.StatusOK || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, _, _ := fetch(t, "GET", r.url+path, nil); (path == "/metrics" || strings.HasPrefix(path, "/debug")) && status != http.StatusNotFound {
			t.Errorf("%s is served to clients: %d", path, status)
		}
	}
	if status, _, _ := fetch(t, "GET", admin+"/v2/", nil); status != http.StatusNotFound {
		t.Errorf("the API is served: %d", status)
	}
	if status, _, _ := fetch(t, "POST", admin+"/metrics", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %d", status)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	for len(r.log.having("draining")) == 0 {
		time.Sleep(5 * time.Millisecond) // a real server, over sockets
	}
	if _, body, _ := fetch(t, "GET", admin+"/metrics", nil); !strings.Contains(body, "\nholdfast_draining 1") || !strings.Contains(body, "\nholdfast_ready 0") {
		t.Error("the metrics do not tell of the drain")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRequestLines: health is not logged at info, requests at the level that was chosen, and those of the operator's endpoint like all.
func TestRequestLines(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.Observe.Requests, cfg.MetricsPath = slog.LevelWarn, "/metrics" })
	for _, path := range []string{"/livez", "/metrics", gcPath, "/v2/", "/v2/a/blobs/uploads/0123456789abcdef0123456789?token=canary"} {
		fetch(t, "GET", r.url+path, http.Header{"Authorization": {"Bearer canary"}})
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]string{
		{`"level":"DEBUG"`, `"path":"/livez"`}, {`"level":"DEBUG"`, `"path":"/metrics"`}, {`"level":"WARN"`, `"route":"gc"`, `"status":401`}, {`"level":"WARN"`, `"route":"base"`},
		{`"route":"upload"`, `"path":"/v2/a/blobs/uploads/0123456789abcdef…"`},
	} {
		if found := r.log.having(append(row, `"msg":"request"`)...); len(found) != 1 {
			t.Errorf("%v: %v", row, found)
		}
	}
	if found := r.log.having("canary"); len(found) > 0 {
		t.Errorf("a secret is logged: %v", found)
	}
}

// TestRequestsAreCounted: the handler of a server has its edge.
func TestRequestsAreCounted(t *testing.T) {
	h := inMemory(t, Storage{})
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "HEAD", "/v2/a/blobs/"+string(digest.FromString("x")), http.NoBody)
	r.Header.Set("X-Request-Id", "r-7")
	h.s.handler(nil).ServeHTTP(w, r)
	if w.Header().Get("X-Request-Id") != "r-7" || w.Code != http.StatusNotFound {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if metrics := h.scrape(); !strings.Contains(metrics, `holdfast_http_requests_total{code="404",method="HEAD",route="blob"} 1`) {
		t.Error(metrics)
	}
}

// TestWatchersRefused: a listener that cannot be had, and a collector of traces that is not understood, are refused at the start.
func TestWatchersRefused(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // the test ends
	cfg := Config{Storage: Storage{Dir: t.TempDir()}, Address: "127.0.0.1:0", Observe: Observe{AdminAddress: taken.Addr().String()}}
	if err := Run(t.Context(), cfg, slog.New(slog.DiscardHandler), nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "http.adminAddress") {
		t.Errorf("an address in use: %v", err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	cfg.Observe.AdminAddress = ""
	if err := Run(t.Context(), cfg, slog.New(slog.DiscardHandler), nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("gRPC: %v", err)
	}
}
