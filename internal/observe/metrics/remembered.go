package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/record/cached"
)

// Remembered shows what a store's record cache does, and, with shared, what it has of the cache that replicas share. It is called once for each store that has one.
func (m *Metrics) Remembered(store string, c *cached.Counts, shared bool) {
	count := func(name, help string, value *atomic.Int64, labels ...string) {
		all := prometheus.Labels{"store": store}
		for i := 0; i < len(labels); i += 2 {
			all[labels[i]] = labels[i+1]
		}
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: all}, func() float64 { return float64(value.Load()) }))
	}
	lookups := func(cache string, l *cached.Lookups) {
		count(lookupsName, lookupsHelp, &l.Hits, "cache", cache, "result", "hit")
		count(lookupsName, lookupsHelp, &l.Misses, "cache", cache, "result", "miss")
	}
	lookups("link", &c.Memory)
	count("holdfast_cache_moved_total", "Links that were remembered and read from the store all the same, because the fence of their repository had moved.", &c.Moved)
	if !shared {
		return
	}
	lookups("shared", &c.Shared)
	const calls, callsHelp = "holdfast_shared_cache_calls_total", "Calls of the cache that replicas share, by what came of them. Nobody waits for a set."
	for operation, of := range map[string]*cached.Calls{"get": &c.Got, "set": &c.Stored} {
		count(calls, callsHelp, &of.Answered, "operation", operation, "outcome", "ok")
		count(calls, callsHelp, &of.TimedOut, "operation", operation, "outcome", "timeout")
		count(calls, callsHelp, &of.Failed, "operation", operation, "outcome", "error")
	}
	const refused, refusedHelp = "holdfast_shared_cache_refused_total", "Values of the cache that replicas share that were not believed: form: not ours; version: of another version of the program; foreign: not sealed for this key under the cluster's secret."
	count(refused, refusedHelp, &c.Form, "reason", "form")
	count(refused, refusedHelp, &c.Version, "reason", "version")
	count(refused, refusedHelp, &c.Foreign, "reason", "foreign")
	count("holdfast_shared_cache_dropped_total", "Values that were not given to the cache that replicas share, because too many waited.", &c.Dropped)
	count("holdfast_shared_cache_not_asked_total", "Calls of the cache that replicas share that were not made, because it did not answer lately, or too many waited for it.", &c.NotAsked)
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_shared_cache_silent", Help: "1 while the cache that replicas share does not answer, or not in time, and is not asked.", ConstLabels: prometheus.Labels{"store": store},
	}, func() float64 { return number(c.GivenUp()) }))
}
