package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Quota is a limit of the configuration and what is used of it.
type Quota struct {
	Prefix                         string // "/" is all of the store
	Bytes, UsedBytes               int64  // Bytes is 0 without a limit
	Repositories, UsedRepositories int64  // the same
	InForce                        bool
}

// Quotas shows the quotas of a store as they are when the metrics are read: as many series as the configuration has quotas. It is called once for each store.
func (m *Metrics) Quotas(store string, read func() []Quota) {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_quota_"+name, help, []string{"prefix"}, prometheus.Labels{"store": store})
	}
	m.registry.MustRegister(&quotas{
		read:      read,
		used:      describe("used_bytes", "Bytes below a prefix that has a quota, by what all replicas have written; up to half a minute old."),
		limit:     describe("limit_bytes", "storage.quotas[].bytes."),
		repos:     describe("used_repositories", "Repositories of a store that has storage.maxRepos."),
		repoLimit: describe("limit_repositories", "storage.maxRepos."),
		force:     describe("in_force", "1 when what a prefix holds was counted: before that its quota refuses nothing."),
	})
}

type quotas struct {
	read                                 func() []Quota
	used, limit, repos, repoLimit, force *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (q *quotas) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.used, q.limit, q.repos, q.repoLimit, q.force} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (q *quotas) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value int64, prefix string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), prefix)
	}
	for _, one := range q.read() {
		if one.Bytes > 0 {
			send(q.limit, one.Bytes, one.Prefix)
		}
		if one.Repositories > 0 {
			send(q.repoLimit, one.Repositories, one.Prefix)
		}
		if !one.InForce {
			send(q.force, 0, one.Prefix)
			continue
		}
		send(q.force, 1, one.Prefix)
		if one.Bytes > 0 {
			send(q.used, one.UsedBytes, one.Prefix)
		}
		if one.Repositories > 0 {
			send(q.repos, one.UsedRepositories, one.Prefix)
		}
	}
}
