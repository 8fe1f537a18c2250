package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/data/cached"
)

// Cache shows how the cache of a store's blobs does. It is called once for each store that has one.
func (m *Metrics) Cache(store string, counts *cached.Counts, bytes func() (used, most int64)) {
	labels := func(more ...string) prometheus.Labels {
		out := prometheus.Labels{"store": store}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	count := func(name, help string, read func() int64, more ...string) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels(more...)}, func() float64 { return float64(read()) }))
	}
	const reads = "Segments opened for pulls: in the cache (hit), while they were being copied into it (shared), copied first (miss), or read from the store as a part or as what is not to be copied (around)."
	for result, read := range map[string]func() int64{"hit": counts.Hits.Load, "shared": counts.Shared.Load, "miss": counts.Misses.Load, "around": counts.Around.Load} {
		count("holdfast_blob_cache_reads_total", reads, read, "result", result)
	}
	count("holdfast_blob_cache_evictions_total", "Segments removed from the cache to make room.", counts.Evicted.Load)
	count("holdfast_blob_cache_damaged_total", "Copies in the cache that were gone, or not what had been written; they were read from the store.", counts.Damaged.Load)
	count("holdfast_blob_cache_errors_total", "Errors of the cache's directory, as a full disk; what was asked for was read from the store.", counts.Errors.Load)
	gauge := func(name, help string, read func() int64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels()}, func() float64 { return float64(read()) }))
	}
	gauge("holdfast_blob_cache_bytes", "Bytes of the files in the cache, those being made included.", func() int64 { used, _ := bytes(); return used })
	gauge("holdfast_blob_cache_limit_bytes", "storage.cache.maxBytes.", func() int64 { _, most := bytes(); return most })
}
