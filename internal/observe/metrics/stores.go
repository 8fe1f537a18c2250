package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/observe/stores"
	"holdfast/internal/registry"
)

// storeRequests are the metrics of what is asked of stores. "kind" is the kind of the store.
type storeRequests struct {
	count, retries *prometheus.CounterVec
	took           *prometheus.HistogramVec
}

// storeBuckets are classic buckets, in seconds: see requestBuckets.
func storeBuckets() []float64 { return []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 15} }

func newStoreRequests() storeRequests {
	return storeRequests{
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_store_requests_total", Help: "Operations on stores; one that was repeated counts once. conflict and not_found are answers, not faults.",
		}, []string{"kind", "operation", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_store_retries_total", Help: "Requests that were sent again, after one that failed or beside one that was not answered for two seconds.",
		}, []string{"kind", "operation"}),
		took: histogram("holdfast_store_request_duration_seconds",
			"How long operations took, repeated requests included: for a read of a segment until its bytes begin to come.", storeBuckets(), "kind", "operation"),
	}
}

func (s *storeRequests) all() []prometheus.Collector {
	return []prometheus.Collector{s.count, s.retries, s.took}
}

// BeginStore implements stores.Observer.
func (m *Metrics) BeginStore(ctx context.Context, call stores.Call) (context.Context, func(stores.Result)) {
	began := time.Now()
	return ctx, func(r stores.Result) {
		s := &m.stores
		s.count.WithLabelValues(call.Store, call.Operation, string(r.Outcome)).Inc()
		s.took.WithLabelValues(call.Store, call.Operation).Observe(time.Since(began).Seconds())
		s.retries.WithLabelValues(call.Store, call.Operation).Add(float64(max(0, r.Sent-1))) // also 0: a rate needs a beginning
	}
}

const (
	lookupsName = "holdfast_cache_lookups_total"
	lookupsHelp = "Looks into what a replica remembers, by what it is and whether it was there."
)

// Memories shows how often a store's memories were of use. It is called once for each store.
func (m *Metrics) Memories(store string, memories map[string]*registry.Lookups) {
	for name, counts := range memories {
		for result, read := range map[string]func() int64{"hit": counts.Hits.Load, "miss": counts.Misses.Load} {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: lookupsName, Help: lookupsHelp,
				ConstLabels: prometheus.Labels{"store": store, "cache": name, "result": result},
			}, func() float64 { return float64(read()) }))
		}
	}
}

// Silent shows whether an S3 store is one that is not asked, because it did not answer lately.
func (m *Metrics) Silent(store string, silent func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_store_silent", Help: "1 while a store does not answer, and requests to it fail at once.", ConstLabels: prometheus.Labels{"store": store},
	}, func() float64 { return number(silent()) }))
}

// Heartbeat shows how old the replica's last heartbeat over a store is.
func (m *Metrics) Heartbeat(store string, age func() time.Duration) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_heartbeat_age_seconds", Help: "How long ago the replica's last heartbeat over a store began that came to its end: at 300 it writes no more.",
		ConstLabels: prometheus.Labels{"store": store},
	}, func() float64 { return age().Seconds() }))
}

// Disk shows how full the disk of a store in a directory is; nothing while space says that it cannot be told.
func (m *Metrics) Disk(store string, space func() (free, size uint64, ok bool)) {
	labels := prometheus.Labels{"store": store}
	m.registry.MustRegister(&disk{
		free:  prometheus.NewDesc("holdfast_disk_free_bytes", "Bytes that the store may still write to the disk of its directory.", nil, labels),
		size:  prometheus.NewDesc("holdfast_disk_size_bytes", "Bytes of that disk.", nil, labels),
		space: space,
	})
}

type disk struct {
	free, size *prometheus.Desc
	space      func() (free, size uint64, ok bool)
}

// Describe implements prometheus.Collector.
func (d *disk) Describe(to chan<- *prometheus.Desc) { to <- d.free; to <- d.size }

// Collect implements prometheus.Collector.
func (d *disk) Collect(to chan<- prometheus.Metric) {
	if free, size, ok := d.space(); ok {
		to <- prometheus.MustNewConstMetric(d.free, prometheus.GaugeValue, float64(free))
		to <- prometheus.MustNewConstMetric(d.size, prometheus.GaugeValue, float64(size))
	}
}
