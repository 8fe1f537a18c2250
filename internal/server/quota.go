package server

import (
	"cmp"
	"context"
	"log/slog"

	"holdfast/internal/collect"
	"holdfast/internal/config"
	"holdfast/internal/format"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/quota"
	"holdfast/internal/registry"
)

// limits are what the file says that a store may hold.
func limits(c config.Store) []quota.Limit {
	var out []quota.Limit
	if c.MaxRepos > 0 {
		out = append(out, quota.Limit{Repositories: int64(c.MaxRepos)})
	}
	for _, q := range c.Quotas {
		out = append(out, quota.Limit{Prefix: q.Prefix, Bytes: q.Bytes})
	}
	return out
}

// openBook opens the store's book. A replica refuses what passes a limit; a command only has it counted.
func (s *store) openBook(enforce bool, log *slog.Logger) {
	budget := collect.NewBudget(s.rules().RequestsPerSecond)
	cfg := quota.Config{Holder: holder(), Limits: s.cfg.Limits, Enforce: enforce, Slow: budget.Records(s.records)}
	s.book = quota.Open(format.Store{Records: s.records, Ages: s.cfg.Ages}, cfg, log.With("store", s.name))
}

// limited is a registry of the store that refuses what the store's quotas have no room for.
func (s *store) limited(next registry.Registry) registry.Registry { return quota.New(next, s.book) }

// keepBook keeps the store's book until ctx ends.
func (s *store) keepBook(ctx context.Context) { s.book.Run(ctx) }

// closeBook writes the store's book for the last time, once nothing is pushed any more.
func (s *store) closeBook(ctx context.Context) error {
	if s.book == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return s.book.Close(ctx)
}

// quotas are the store's, for the metrics.
func (s *store) quotas() []metrics.Quota {
	var out []metrics.Quota
	for _, f := range s.book.Figures() {
		out = append(out, metrics.Quota{
			Prefix: cmp.Or(f.Prefix, "/"), InForce: f.InForce,
			Bytes: f.Bytes, UsedBytes: f.Used.Bytes, Repositories: f.Repositories, UsedRepositories: f.Used.Repositories,
		})
	}
	return out
}
