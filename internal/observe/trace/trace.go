// Package trace sends traces to a collector of OpenTelemetry, by OTLP over HTTP: a span for each request, which continues the trace of a client or proxy
// that sends a W3C traceparent, and below it a span for each operation on a store. Where no collector is configured there is no Tracer, and nothing of this runs.
//
// What a span holds is safe to show: no query, no header but a clipped User-Agent, the kind of a key and never a key. A collector that does not answer costs
// spans, and a warning a minute: never a request.
package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"holdfast/internal/observe/request"
	"holdfast/internal/observe/stores"
)

// Config says where traces go. All else, headers, certificates, time-outs, the sampler, attributes of the resource, is as the OTEL_* variables of
// the environment say.
type Config struct {
	// Endpoint is the URL that spans are sent to, with its path, as http://collector:4318/v1/traces. "": as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
	// OTEL_EXPORTER_OTLP_ENDPOINT say, and nowhere when neither does.
	Endpoint string
	// Version of this program.
	Version string
}

// ErrConfig is a setting that an operator must change.
var ErrConfig = errors.New("trace: configuration")

// Tracer makes spans. It is a request.Observer and a stores.Observer. Safe for concurrent use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
}

// Open returns a tracer, or nil where none is configured. env looks up variables, as os.LookupEnv does; what is not this package's own business the
// libraries read from the environment itself. It makes no request: whether the collector answers is seen later. Errors: ErrConfig.
func Open(ctx context.Context, cfg Config, env func(string) (string, bool), log *slog.Logger) (*Tracer, error) {
	on, err := wanted(cfg, env)
	if err != nil || !on {
		return nil, err
	}
	var options []otlptracehttp.Option
	if cfg.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(cfg.Endpoint))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	res, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "holdfast"), attribute.String("service.version", cfg.Version)), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", ErrConfig, err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&quiet{SpanExporter: exporter, log: log}), sdktrace.WithResource(res))
	return &Tracer{provider: provider, tracer: provider.Tracer("holdfast")}, nil
}

// wanted reports whether there is somewhere to send spans to.
func wanted(cfg Config, env func(string) (string, bool)) (bool, error) {
	get := func(name string) string { value, _ := env(name); return strings.TrimSpace(value) }
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporter := get("OTEL_TRACES_EXPORTER")
	if exporter == "none" || cfg.Endpoint == "" && get("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	if exporter != "" && exporter != "otlp" {
		return false, fmt.Errorf("%w: OTEL_TRACES_EXPORTER is %q: want otlp, or none", ErrConfig, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := get(name); protocol != "" && protocol != "http/protobuf" {
			return false, fmt.Errorf("%w: %s is %q: want http/protobuf, at port 4318 of most collectors", ErrConfig, name, protocol)
		}
	}
	return true, nil
}

// Close sends what is left, until ctx ends. Safe twice.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("trace: close: %w", err)
	}
	return nil
}

// warnEvery is how often a collector that does not answer is complained of.
const warnEvery = time.Minute

// quiet is an exporter whose errors are ours to tell.
type quiet struct {
	sdktrace.SpanExporter
	log    *slog.Logger
	warned atomic.Int64 // when, in nanoseconds since 1970; 0: never
	lost   atomic.Int64 // spans since then
}

// ExportSpans implements sdktrace.SpanExporter.
func (q *quiet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	q.lost.Add(int64(len(spans)))
	now, last := time.Now().UnixNano(), q.warned.Load()
	if now-last >= int64(warnEvery) && q.warned.CompareAndSwap(last, now) {
		q.log.WarnContext(ctx, "traces could not be sent", "spans", q.lost.Swap(0), "err", err)
	}
	return nil
}

// Begin implements request.Observer.
func (t *Tracer) Begin(ctx context.Context, req *request.Request, r *http.Request) (context.Context, func(request.Outcome)) {
	ctx, span := t.tracer.Start(t.context.Extract(ctx, propagation.HeaderCarrier(r.Header)), request.Method(r.Method)+" "+req.Name, trace.WithSpanKind(trace.SpanKindServer))
	if id := span.SpanContext(); id.HasTraceID() {
		req.Trace = id.TraceID().String()
	}
	if !span.IsRecording() {
		return ctx, func(request.Outcome) { span.End() }
	}
	span.SetAttributes(
		attribute.String("http.request.method", request.Method(r.Method)), attribute.String("http.route", req.Name), attribute.String("url.path", req.ShownPath()),
		attribute.String("client.address", r.RemoteAddr), attribute.String("holdfast.request", req.ID),
		attribute.String("user_agent.original", request.Clip(r.UserAgent(), 128)),
	)
	if req.Repository != "" {
		span.SetAttributes(attribute.String("holdfast.repository", req.Repository))
	}
	return ctx, func(o request.Outcome) {
		span.SetAttributes(
			attribute.Int("http.response.status_code", o.Status),
			attribute.Int64("http.request.body.size", o.In), attribute.Int64("http.response.body.size", o.Out),
		)
		if o.Fault || o.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// BeginStore implements stores.Observer. What is done beside requests, the collector and the watch over the store, belongs to no trace, and has no spans.
func (t *Tracer) BeginStore(ctx context.Context, call stores.Call) (context.Context, func(stores.Result)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(stores.Result) {}
	}
	ctx, span := t.tracer.Start(ctx, call.Store+" "+call.Operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("holdfast.store.kind", call.Store), attribute.String("holdfast.store.operation", call.Operation), attribute.String("holdfast.store.key", call.Key)))
	return ctx, func(r stores.Result) {
		span.SetAttributes(attribute.String("holdfast.store.outcome", string(r.Outcome)), attribute.Int("holdfast.store.requests", r.Sent))
		switch r.Outcome {
		case stores.OK, stores.NotFound, stores.Conflict, stores.Canceled:
		case stores.Throttled, stores.Timeout, stores.NotSent, stores.Denied, stores.Rejected, stores.Failed:
			span.SetStatus(codes.Error, string(r.Outcome))
		}
		span.End()
	}
}
