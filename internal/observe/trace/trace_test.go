package trace_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
	"holdfast/internal/observe/trace"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
)

// receiver is a collector of traces.
type receiver struct {
	mu     sync.Mutex
	spans  []*otlp.Span
	about  map[string]string // the resource's attributes
	bodies bytes.Buffer
	header http.Header
	status int
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header.Clone()
	if c.status != 0 {
		w.WriteHeader(c.status)
		return
	}
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		in = unzipped
	}
	body, err := io.ReadAll(in)
	var export collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.bodies.Write(body)
	for _, group := range export.GetResourceSpans() {
		c.about = attributes(group.GetResource().GetAttributes())
		for _, scope := range group.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		all[a.GetKey()] = strings.Trim(a.GetValue().String()[strings.IndexByte(a.GetValue().String(), ':')+1:], `"`)
	}
	return all
}

func noEnv(string) (string, bool) { return "", false }

// serve makes a request, below which the store is asked, against a traced handler.
func serve(t *testing.T, tracer *trace.Tracer, r *http.Request, status int) *request.Request {
	t.Helper()
	records := stores.Observers{tracer}.Records(stores.Bolt, recordmem.New(recordmem.Config{}))
	var req *request.Request
	request.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req = request.From(r.Context())
		_, _ = records.Get(r.Context(), "r/00/secret/t/v1")
		_, _ = records.Put(context.WithoutCancel(r.Context()), "b/00/secret", []byte("x"), record.IfAbsent())
		w.WriteHeader(status)
	}), request.Config{
		Route: func(r *http.Request) request.Route {
			return request.Route{Name: "manifest", Repository: "a", Path: r.URL.Path}
		},
		Observers: []request.Observer{tracer},
	}, slog.New(slog.DiscardHandler)).ServeHTTP(httptest.NewRecorder(), r)
	return req
}

func closeNow(t *testing.T, tracer *trace.Tracer) {
	t.Helper()
	for range 2 {
		if err := tracer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpans(t *testing.T) {
	to := &receiver{}
	srv := httptest.NewServer(to)
	defer srv.Close()
	tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: srv.URL + "/v1/traces", Version: "v1"}, noEnv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const parent = "00f067aa0ba902b7"
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/a/manifests/v1?token=secret", http.NoBody)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-"+parent+"-01")
	r.Header.Set("Authorization", "Bearer secret")
	if req := serve(t, tracer, r, 503); req.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("the request's trace is %q", req.Trace)
	}
	if req := serve(t, tracer, httptest.NewRequestWithContext(t.Context(), "HEAD", "/", http.NoBody), 200); len(req.Trace) != 32 {
		t.Errorf("the trace of a request without one is %q", req.Trace)
	}
	// What is done beside requests has no spans.
	_, _ = stores.Observers{tracer}.Records(stores.Bolt, recordmem.New(recordmem.Config{})).Get(t.Context(), "cfg/format")
	closeNow(t, tracer)

	if len(to.spans) != 6 {
		t.Fatalf("%d spans came, want 6: %v", len(to.spans), to.spans)
	}
	get, put, server := to.spans[0], to.spans[1], to.spans[2] // in the order of their ends
	if server.GetName() != "GET manifest" || server.GetKind() != otlp.Span_SPAN_KIND_SERVER || hexOf(server.GetParentSpanId()) != parent ||
		hexOf(server.GetTraceId()) != "4bf92f3577b34da6a3ce929d0e0e4736" || server.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("the request's span: %v", server)
	}
	for _, child := range []*otlp.Span{get, put} {
		if !bytes.Equal(child.GetParentSpanId(), server.GetSpanId()) || !bytes.Equal(child.GetTraceId(), server.GetTraceId()) || child.GetKind() != otlp.Span_SPAN_KIND_CLIENT {
			t.Errorf("it does not hang below its request: %v", child)
		}
	}
	if a := attributes(get.GetAttributes()); get.GetName() != "bolt Get" || a["holdfast.store.key"] != "tag" || a["holdfast.store.outcome"] != "not_found" || a["holdfast.store.requests"] != "1" {
		t.Errorf("the store's span: %v", get)
	}
	a := attributes(server.GetAttributes())
	if a["http.response.status_code"] != "503" || a["url.path"] != "/v2/a/manifests/v1" || a["http.route"] != "manifest" || a["holdfast.repository"] != "a" {
		t.Errorf("the request's attributes: %v", a)
	}
	if to.about["service.name"] != "holdfast" || to.about["service.version"] != "v1" {
		t.Errorf("the resource: %v", to.about)
	}
	if bytes.Contains(to.bodies.Bytes(), []byte("secret")) {
		t.Error("a secret, or a key, was sent")
	}
}

// TestLongSpans: a client chooses neither the names of spans nor how long they are, which are kept until they are sent.
func TestLongSpans(t *testing.T) {
	to := &receiver{}
	srv := httptest.NewServer(to)
	defer srv.Close()
	tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: srv.URL + "/v1/traces"}, noEnv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/"+strings.Repeat("p", 30000), http.NoBody)
	r.Method = strings.Repeat("M", 30000)
	serve(t, tracer, r, 404)
	closeNow(t, tracer)
	if len(to.spans) != 3 || to.spans[2].GetName() != "other manifest" {
		t.Fatalf("%d spans, the last is %.100s", len(to.spans), to.spans[len(to.spans)-1].GetName())
	}
	if n := proto.Size(to.spans[2]); n > 2000 {
		t.Errorf("a span of %d bytes", n)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// TestNotSampled: a client that says that it is not traced is not, but for its id in the log.
func TestNotSampled(t *testing.T) {
	to := &receiver{}
	srv := httptest.NewServer(to)
	defer srv.Close()
	tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: srv.URL + "/v1/traces"}, noEnv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	if req := serve(t, tracer, r, 200); req.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("the request's trace is %q", req.Trace)
	}
	closeNow(t, tracer)
	if len(to.spans) != 0 {
		t.Errorf("%d spans came", len(to.spans))
	}
}

// TestEnvironment: the standard variables alone turn it on, and say how.
func TestEnvironment(t *testing.T) {
	to := &receiver{}
	srv := httptest.NewServer(to)
	defer srv.Close()
	vars := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": srv.URL, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=t1", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
		"OTEL_SERVICE_NAME": "registry-1", "OTEL_RESOURCE_ATTRIBUTES": "site=a",
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
	tracer, err := trace.Open(t.Context(), trace.Config{}, func(name string) (string, bool) { v, ok := vars[name]; return v, ok }, slog.New(slog.DiscardHandler))
	if err != nil || tracer == nil {
		t.Fatal(tracer, err)
	}
	serve(t, tracer, httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody), 200)
	closeNow(t, tracer)
	if len(to.spans) != 3 || to.header.Get("X-Tenant") != "t1" || to.header.Get("Content-Encoding") != "gzip" || to.about["service.name"] != "registry-1" || to.about["site"] != "a" {
		t.Errorf("%d spans, header %v, resource %v", len(to.spans), to.header, to.about)
	}
}

func TestOpen(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, row := range []struct {
		name string
		env  map[string]string
		own  string
		on   bool
		says string
	}{
		{"nothing", nil, "", false, ""},
		{"empty", map[string]string{endpoint: ""}, "", false, ""},
		{"own key", nil, "http://127.0.0.1:1/v1/traces", true, ""},
		{"for traces only", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, "", true, ""},
		{"switched off", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, "", false, ""},
		{"no exporter", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, "", false, ""},
		{"another exporter", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "zipkin"}, "", false, "zipkin"},
		{"gRPC", map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", false, "http/protobuf"},
	} {
		tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: row.own}, func(name string) (string, bool) { v, ok := row.env[name]; return v, ok }, slog.New(slog.DiscardHandler))
		if (tracer != nil) != row.on || (err != nil) != (row.says != "") || err != nil && (!errors.Is(err, trace.ErrConfig) || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%s: %v, %v", row.name, tracer, err)
		}
	}
}

// TestDown: a collector that does not answer, or refuses, costs one warning, and no error.
func TestDown(t *testing.T) {
	to := &receiver{status: http.StatusForbidden}
	srv := httptest.NewServer(to)
	defer srv.Close()
	var text bytes.Buffer
	tracer, err := trace.Open(t.Context(), trace.Config{Endpoint: srv.URL + "/v1/traces"}, noEnv, slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 2000 {
		serve(t, tracer, httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody), 200)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("requests waited: %s", took)
	}
	closeNow(t, tracer)
	if n := strings.Count(text.String(), "traces could not be sent"); n != 1 {
		t.Errorf("%d warnings: %s", n, text.String())
	}
}
