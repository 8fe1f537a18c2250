package metrics

import "github.com/prometheus/client_golang/prometheus"

// Reloads counts the configurations that a running server was given, as others count them: applied, refused for a mistake, and whether the last
// one was applied.
func (m *Metrics) Reloads(applied, refused func() int64, well func() bool) {
	const name, help = "holdfast_config_reloads_total", "Configurations that were read again, by what came of it."
	outcome := func(outcome string, read func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"outcome": outcome}},
			func() float64 { return float64(read()) })
	}
	m.registry.MustRegister(outcome("applied", applied), outcome("refused", refused), prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "holdfast_config_last_reload_successful", Help: "0: the file has a mistake, and an earlier one is in force."},
		func() float64 {
			if well() {
				return 1
			}
			return 0
		}))
}
