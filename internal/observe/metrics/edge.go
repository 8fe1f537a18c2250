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
type Refusals struct{ TooLong, TooOften, TooMany, OverShare, Busy func() int64 }

// Refused shows them. It is called once.
func (m *Metrics) Refused(r Refusals) {
	for limit, read := range map[string]func() int64{"url": r.TooLong, "rate": r.TooOften, "concurrency": r.TooMany, "share": r.OverShare, "busy": r.Busy} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "holdfast_http_limited_total", Help: "Requests refused for a limit of the configuration.", ConstLabels: prometheus.Labels{"limit": limit},
		}, func() float64 { return float64(read()) }))
	}
}

// Turn reads how many requests of a kind are served, and how many wait for their turn.
type Turn func() (serving, waiting int)

// Turns shows them, by kind. It is called once.
func (m *Metrics) Turns(kinds map[string]Turn) {
	for kind, read := range kinds {
		show := func(state string, value func() int) {
			m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "holdfast_http_turns", Help: "Requests that are served, or wait for their turn.", ConstLabels: prometheus.Labels{"kind": kind, "state": state},
			}, func() float64 { return float64(value()) }))
		}
		show("served", func() int { serving, _ := read(); return serving })
		show("waiting", func() int { _, waiting := read(); return waiting })
	}
}
