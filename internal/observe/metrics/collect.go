package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/collect"
	"holdfast/internal/collect/scrub"
)

// gc are the collector's metrics.
type gc struct {
	found, freed, rescued, left, bytes *prometheus.CounterVec
	passes                             *prometheus.CounterVec
	ended, took                        *prometheus.GaugeVec
}

func newGC() gc {
	byKind := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_gc_" + name + "_total", Help: help}, []string{"store", "kind"})
	}
	last := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "holdfast_gc_last_pass_" + name + "_seconds", Help: help}, []string{"store"})
	}
	return gc{
		found:   byKind("found", "Things that nothing seemed to need, by the passes of this replica."),
		freed:   byKind("freed", "Things that the collector removed."),
		rescued: byKind("rescued", "Things that were condemned, or about to be, and that somebody needed after all."),
		left:    byKind("left", "Things that could not be removed."),
		bytes:   byKind("freed_bytes", "Bytes of data that the collector removed."),
		passes: prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "holdfast_gc_passes_total", Help: "Passes that this replica made; those that are not complete ended early."},
			[]string{"store", "full", "complete"},
		),
		ended: last("timestamp", "When this replica's last complete pass ended, in seconds since 1970."),
		took:  last("duration", "How long it took."),
	}
}

func (g *gc) all() []prometheus.Collector {
	return []prometheus.Collector{g.found, g.freed, g.rescued, g.left, g.bytes, g.passes, g.ended, g.took}
}

// Pass adds what a pass over a store came to. A dry run does not count.
func (m *Metrics) Pass(store string, r *collect.Report) {
	if r.DryRun {
		return
	}
	for kind, c := range r.Counts {
		m.gc.found.WithLabelValues(store, string(kind)).Add(float64(c.Found))
		m.gc.freed.WithLabelValues(store, string(kind)).Add(float64(c.Freed))
		m.gc.rescued.WithLabelValues(store, string(kind)).Add(float64(c.Rescued))
		m.gc.left.WithLabelValues(store, string(kind)).Add(float64(c.Left))
		m.gc.bytes.WithLabelValues(store, string(kind)).Add(float64(c.FreedBytes))
	}
	complete := r.Failed == ""
	m.gc.passes.WithLabelValues(store, yes(r.Full), yes(complete)).Inc()
	if complete {
		m.gc.ended.WithLabelValues(store).Set(float64(r.Ended.UnixMilli()) / 1000)
		m.gc.took.WithLabelValues(store).Set(r.Ended.Sub(r.Started).Seconds())
	}
}

// Store shows what is counted for a store: its hints, nil for none, and its scrub. It is called once for each.
func (m *Metrics) Store(store string, hints *collect.Hints, scrubbed *scrub.Counters) {
	if hints != nil {
		for _, full := range []bool{false, true} { // so that an increase from none can be seen
			m.gc.passes.WithLabelValues(store, yes(full), yes(true))
			m.gc.passes.WithLabelValues(store, yes(full), yes(false))
		}
		m.registry.MustRegister(
			counter("holdfast_gc_hints_written_total", "Hints for the collector that were written.", store, hints.Written),
			counter("holdfast_gc_hints_dropped_total",
				"Changes that no hint tells of, because there was no room or the store did not answer: a full pass finds them.", store, hints.Dropped),
		)
	}
	m.registry.MustRegister(
		counter("holdfast_scrub_rounds_total", "Rounds of the scrub that ended here.", store, scrubbed.Rounds.Load),
		counter("holdfast_scrub_failures_total", "Rounds that stopped before their end.", store, scrubbed.Failures.Load),
		counter("holdfast_scrub_blobs_total", "Blobs that were read and compared with their digest.", store, scrubbed.Records.Load),
		counter("holdfast_scrub_bytes_total", "Bytes that were read for it.", store, scrubbed.Bytes.Load),
		counter("holdfast_scrub_damaged_total", "Damages that were found and not known before.", store, scrubbed.Damaged.Load),
		counter("holdfast_scrub_skipped_total", "Things that could not be read, or changed all the time.", store, scrubbed.Skipped.Load),
	)
}
