package pulled

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Config is what can be chosen. The zero value is the documented default.
type Config struct {
	// Interval is how often noted pulls are written, and how close to each other two times of a manifest that are written may be. 0: 15 min.
	Interval time.Duration
	// MaxNoted bounds the manifests that are noted at a time; 0: 32,768, some 10 MiB. Half of them begin a round at once. What does not fit is
	// not noted, and a warning says how much: a store that does not answer for long costs pull times, not memory.
	MaxNoted int
	// Wanted says whether pulls of a repository are noted; nil: of all.
	Wanted func(oci.Repository) bool
}

const (
	defaultInterval = 15 * time.Minute
	defaultMaxNoted = 32768
)

// Registry is a registry whose pulls are noted. Safe for concurrent use.
type Registry struct {
	registry.Registry

	store  format.Store
	cfg    Config
	log    *slog.Logger
	early  chan struct{} // holds one while a round is wanted before its time
	stop   context.CancelFunc
	ended  chan struct{} // closed when no round will begin any more
	rounds sync.Mutex    // held by the one round that runs

	mu     sync.Mutex
	noted  map[manifest]time.Time // the last pull of what is to be written
	missed int                    // pulls that did not fit since the last round
}

type manifest struct {
	repo   oci.Repository
	digest oci.Digest
}

// New wraps a registry over a store. It makes no request. It works in the background until Close, also when ctx ends.
func New(ctx context.Context, inner registry.Registry, store format.Store, cfg Config, log *slog.Logger) *Registry {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	cfg.MaxNoted = cmp.Or(cfg.MaxNoted, defaultMaxNoted)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &Registry{
		Registry: inner, store: store, cfg: cfg, log: log, stop: stop,
		early: make(chan struct{}, 1), ended: make(chan struct{}), noted: map[manifest]time.Time{},
	}
	go r.run(ctx)
	return r
}

// Resolve implements registry.Manifests, and notes what it finds.
func (r *Registry) Resolve(ctx context.Context, repo oci.Repository, ref oci.Reference) (*registry.Stored, error) {
	found, err := r.Registry.Resolve(ctx, repo, ref)
	if err == nil && (r.cfg.Wanted == nil || r.cfg.Wanted(repo)) {
		r.note(manifest{repo, found.Digest}, r.store.Records.Now())
	}
	return found, err
}

// note keeps the later of two pulls of a manifest.
func (r *Registry) note(m manifest, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, found := r.noted[m]
	if !found && len(r.noted) >= r.cfg.MaxNoted {
		r.missed++
		return
	}
	if at.After(before) {
		r.noted[m] = at
	}
	if len(r.noted) > r.cfg.MaxNoted/2 {
		select {
		case r.early <- struct{}{}:
		default:
		}
	}
}

// run begins a round in every interval. Replicas that start together do not write together: the first interval is a random part of one.
func (r *Registry) run(ctx context.Context) {
	defer close(r.ended)
	timer := time.NewTimer(rand.N(r.cfg.Interval)) //nolint:gosec // spreads load, guards nothing
	defer timer.Stop()
	early := r.early
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-early:
		}
		early = r.early
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			early = nil // what is noted again would begin rounds without end
			r.log.WarnContext(ctx, "pull times were not written; retention may take what was pulled for unused", "err", err)
		}
		timer.Reset(r.cfg.Interval)
	}
}

// Close writes what is noted and ends the work in the background. It may be called again; what is pulled after it is noted in memory only. Errors: ctx
// ended, or the store failed, and pull times are lost.
func (r *Registry) Close(ctx context.Context) error {
	r.stop()
	select {
	case <-r.ended:
		return r.round(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}
