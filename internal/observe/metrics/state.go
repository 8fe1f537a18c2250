package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what a replica says of itself whenever the metrics are read.
type State struct {
	Ready    func() bool          // /readyz answers 200
	Draining func() bool          // the order to end came
	Refused  func() bool          // a store failed its self-test after the start
	Silent   func() time.Duration // since a store that is not well answered last
	Memory   func() (used, total int64)
	Warm     func() int64 // bytes of blobs in memory that uploads do not use
}

// State shows the state of the process. It is called once.
func (m *Metrics) State(s State) {
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	m.registry.MustRegister(
		gauge("holdfast_ready", "1 when the replica is ready, as /readyz says.", func() float64 { return number(s.Ready()) }),
		gauge("holdfast_draining", "1 when it ends, and lets what is in flight end.", func() float64 { return number(s.Draining()) }),
		gauge("holdfast_store_refused", "1 when a store failed its self-test while it was in use: it must not be used any more.", func() float64 { return number(s.Refused()) }),
		gauge("holdfast_store_last_answer_seconds", "How long ago every store answered.", func() float64 { return s.Silent().Seconds() }),
		gauge("holdfast_upload_memory_bytes", "Bytes of uploads in memory, on their way to S3.", func() float64 { used, _ := s.Memory(); return float64(used) }),
		gauge("holdfast_blob_memory_bytes", "Bytes of memory that hold small blobs for who pulls them next. Uploads take from it what they need.", func() float64 { return float64(s.Warm()) }),
		gauge("holdfast_upload_memory_limit_bytes", "storage.memoryBudget.", func() float64 { _, total := s.Memory(); return float64(total) }),
	)
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
