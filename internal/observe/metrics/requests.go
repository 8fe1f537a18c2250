package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/observe/request"
)

// requests are the metrics of HTTP requests. A transfer counts when it ends.
type requests struct {
	count    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	in, out  *prometheus.CounterVec
	inFlight *prometheus.GaugeVec
	uploads  prometheus.Gauge
}

// The classic buckets, in seconds, for a Prometheus that does not read native histograms. They are few: each is a series for every route and method.
func requestBuckets() []float64 { return []float64{.005, .025, .1, .5, 1, 2.5, 5, 15, 60, 300} }

// histogram is native where Prometheus reads that, with buckets that grow by a tenth, 160 at most; and has classic buckets.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

func newRequests() requests {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return requests{
		count: counter("holdfast_http_requests_total",
			"Requests that were answered. code is the status; 499: the client left; cut: the answer was broken off here.", "route", "method", "code"),
		took: histogram("holdfast_http_request_duration_seconds", "How long requests took, with the transfer of their bodies.", requestBuckets(), "route", "method"),
		in:   counter("holdfast_http_request_bytes_total", "Bytes of requests' bodies that were read.", "route", "method"),
		out:  counter("holdfast_http_response_bytes_total", "Bytes of answers' bodies that were written.", "route", "method"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_http_requests_in_flight", Help: "Requests that are being served.",
		}, []string{"route"}),
		uploads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_uploads_in_flight", Help: "Requests of uploads that are being served: those that bring bytes of a blob, or end an upload.",
		}),
	}
}

func (q *requests) all() []prometheus.Collector {
	return []prometheus.Collector{q.count, q.took, q.in, q.out, q.inFlight, q.uploads}
}

// Begin implements request.Observer.
func (m *Metrics) Begin(ctx context.Context, req *request.Request, r *http.Request) (context.Context, func(request.Outcome)) {
	q := &m.requests
	route, method := req.Name, request.Method(r.Method)
	inFlight := q.inFlight.WithLabelValues(route)
	inFlight.Inc()
	upload := (route == "upload" || route == "uploads") && (method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut)
	if upload {
		q.uploads.Inc()
	}
	return ctx, func(o request.Outcome) {
		inFlight.Dec()
		if upload {
			q.uploads.Dec()
		}
		q.count.WithLabelValues(route, method, o.Code()).Inc()
		q.took.WithLabelValues(route, method).Observe(o.Took.Seconds())
		if o.In > 0 {
			q.in.WithLabelValues(route, method).Add(float64(o.In))
		}
		if o.Out > 0 {
			q.out.WithLabelValues(route, method).Add(float64(o.Out))
		}
	}
}
