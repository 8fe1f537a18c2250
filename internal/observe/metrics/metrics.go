// Package metrics counts what a replica does, for Prometheus. Other packages do not know of it: they report, or count for themselves, and
// this package adds up what they say. Of requests, and of requests to stores, it is told as an observer. No label has more values than a configuration file has lines: repositories, tags, digests and clients are none.
//
// Start with New. A counter is of this process: what a cluster did is the sum over its replicas, and when something was last done is the maximum.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the metrics of a process. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	gc       gc
	requests requests
	stores   storeRequests

	credentials *prometheus.CounterVec
}

// New returns the metrics of a process of this version, all of them 0.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), gc: newGC(), requests: newRequests(), stores: newStoreRequests(), credentials: newCredentials()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_build_info", Help: "Always 1; the labels are the version, and that of Go.", ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.gc.all()...)
	m.registry.MustRegister(m.requests.all()...)
	m.registry.MustRegister(m.stores.all()...)
	m.registry.MustRegister(m.credentials)
	return m
}

// Handler serves the metrics in the format that a request asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// counter is a counter that somebody else counts, read when the metrics are.
func counter(name, help, store string, read func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"store": store}},
		func() float64 { return float64(read()) },
	)
}

func yes(b bool) string { return strconv.FormatBool(b) }
