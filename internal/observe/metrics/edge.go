package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificate shows the certificate that clients see: when it ends, and what came of new files. It is called once, by a server that speaks TLS.
func (m *Metrics) Certificate(expires func() time.Time, counts func() (taken, refused int64, failed bool)) {
	const name, help = "holdfast_tls_reloads_total", "New files of the certificate, by what came of them."
	outcome := func(outcome string, read func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"outcome": outcome}},
			func() float64 { return float64(read()) })
	}
	m.registry.MustRegister(
		outcome("applied", func() int64 { taken, _, _ := counts(); return taken }),
		outcome("refused", func() int64 { _, refused, _ := counts(); return refused }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate in use expires, in seconds since 1970."},
			func() float64 { return float64(expires().Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_tls_last_reload_successful", Help: "0: the files of the certificate are not good, and those before are in use."},
			func() float64 { _, _, failed := counts(); return number(!failed) }),
	)
}

// Refusals count requests that were refused for what a client may take.
type Refusals struct{ TooLong, TooOften, TooMany func() int64 }

// Refused shows them. It is called once.
func (m *Metrics) Refused(r Refusals) {
	for limit, read := range map[string]func() int64{"url": r.TooLong, "rate": r.TooOften, "concurrency": r.TooMany} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "holdfast_http_limited_total", Help: "Requests refused for a limit of the configuration.", ConstLabels: prometheus.Labels{"limit": limit},
		}, func() float64 { return float64(read()) }))
	}
}
