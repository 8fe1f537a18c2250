package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/collect/pulled"
	"holdfast/internal/collect/scrub"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// endTime is how long a server that ends waits, after its last request, for what it does beside them. What is cut off another replica
// does, or the next start.
const endTime = 2 * time.Second

// pulledInterval is how often pull times are written.
const pulledInterval = 15 * time.Minute

// holder names this process for people who look at a lease.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// noting is the store's registry, which notes pulls where retention goes by them. divisor is the one of the ages.
func (s *store) noting(ctx context.Context, divisor int64, log *slog.Logger) registry.Registry {
	if rules := s.rules(); !rules.Enabled || !rules.Policies.NeedPullTimes() {
		return s.registry
	}
	s.pulls = pulled.New(ctx, s.registry, s.format(), pulled.Config{
		Interval: pulledInterval / time.Duration(max(divisor, 1)),
		Wanted:   func(repo oci.Repository) bool { return s.rules().Policies.For(repo).NeedsPullTimes() },
	}, log)
	return s.pulls
}

// collector returns a collector of the store, whose requests are bounded so that those of clients come first.
func (s *store) collector(dryRun bool, log *slog.Logger) *collect.Collector {
	rules := s.rules()
	budget := collect.NewBudget(rules.RequestsPerSecond)
	values := s.format()
	values.Records = budget.Records(values.Records)
	return collect.New(s.registry, values, budget.Segments(s.segments), collect.Config{
		Delay:    rules.Delay,
		Policies: rules.Policies,
		KeepTags: rules.KeepTags,
		DryRun:   dryRun,
	}, log)
}

// collect makes the store's passes until ctx ends, if it makes any.
func (s *store) collect(ctx context.Context, log *slog.Logger) {
	rules := s.rules()
	if !rules.Enabled {
		return
	}
	log = log.With("store", s.name)
	s.collector(false, log).Run(ctx, holder(), collect.Schedule{
		Interval: rules.Interval,
		Window:   rules.Window,
		Report:   func(r *collect.Report, _ error) { s.passed(ctx, log, r) },
	})
}

// scrub makes the store's rounds of the scrub until ctx ends, if it makes any.
func (s *store) scrub(ctx context.Context, cfg Scrub, log *slog.Logger) {
	if !cfg.Enabled {
		return
	}
	log = log.With("store", s.name)
	deps := scrub.Deps{Records: s.format(), Data: s.segments, Registry: s.registry, Log: log, Counters: &s.scrubbed}
	if err := scrub.Serve(ctx, deps, scrub.Config{Holder: holder(), Interval: cfg.Interval}); ctx.Err() == nil {
		log.ErrorContext(ctx, "nothing is scrubbed any more", "err", err)
	}
}

// passed is told of each pass that was made here. It writes one line for one that did something. Why one ended early is told by who made it.
func (s *store) passed(ctx context.Context, log *slog.Logger, r *collect.Report) {
	if s.counted != nil {
		s.counted.Pass(s.path, r)
	}
	level := slog.LevelDebug
	total := r.Total()
	if total.Freed > 0 || total.Rescued > 0 || len(r.Skipped) > 0 {
		level = slog.LevelInfo
	}
	log.Log(context.WithoutCancel(ctx), level, "a collector's pass", "found", total.Found, "freed", total.Freed, "bytes_freed", total.FreedBytes,
		"rescued", total.Rescued, "left", total.Left, "skipped", int64(len(r.Skipped))+r.SkippedMore, "repositories", r.Repositories,
		"full", r.Full, "complete", r.Failed == "", "took", r.Ended.Sub(r.Started))
}

// housekeeping is what a server does beside requests: collecting ends with the first signal; what requests leave behind is noted until the
// last of them has ended.
type housekeeping struct {
	stop context.CancelFunc // of the notes
	all  sync.WaitGroup
}

// keepHouse begins the housekeeping of the open stores. working ends when the drain begins.
func (s *Server) keepHouse(working context.Context) *housekeeping {
	noting, stop := context.WithCancel(context.WithoutCancel(working))
	h := &housekeeping{stop: stop}
	for _, st := range s.stores {
		h.all.Go(func() { st.keepMember(noting, s.log) })
		h.all.Go(func() { st.keepBook(noting) })
		if st.hints != nil {
			h.all.Go(func() { st.hints.Run(noting) })
		}
		collecting, halt := context.WithCancel(working)
		st.halt = halt
		h.all.Go(func() { s.reload.changes.serve(collecting, func(ctx context.Context) { st.collect(ctx, s.log) }) })
		h.all.Go(func() {
			s.reload.changes.serve(collecting, func(ctx context.Context) { st.scrub(ctx, s.now().Scrub, s.log) })
		})
	}
	return h
}

// end ends the housekeeping, in endTime at most. nil is of stores that were never open.
func (h *housekeeping) end(ctx context.Context, stores []*store) error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	h.stop()
	var errs []error
	for _, st := range stores {
		if st.pulls != nil {
			errs = append(errs, st.pulls.Close(ctx))
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.all.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("server: end the collector: %w", ctx.Err()))
	}
	return errors.Join(errs...)
}
