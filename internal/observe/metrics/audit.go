package metrics

import "github.com/prometheus/client_golang/prometheus"

// Audit shows what became of the lines of the audit log. It is called once.
func (m *Metrics) Audit(lines, lost func() int64) {
	read := func(name, help string, n func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n()) })
	}
	m.registry.MustRegister(
		read("holdfast_audit_lines_total", "Lines of the audit log that were written.", lines),
		read("holdfast_audit_lost_total", "Lines of the audit log that could not be written.", lost),
	)
}
