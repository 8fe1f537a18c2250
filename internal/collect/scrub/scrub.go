package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/registry"
)

// Lease is the name of the lease that the replicas share rounds by.
const Lease = "scrub"

// Config says how fast and how often. The zero value is the documented default, but for Holder.
type Config struct {
	Holder            string        // names this process in the lease; never empty
	BytesPerSecond    int64         // of segments and manifests; 0: 16 MiB
	RequestsPerSecond float64       // to the store; 0: 50
	Interval          time.Duration // rest between the end of a round and the begin of the next; 0: 24 h
	Every             int           // progress is saved after so many records, and every ten seconds; 0: 100
	// MaxDamaged is how many blobs one Run marks; then it stops with ErrTooMuch. A store that is not mounted, or was brought back from an
	// old copy, looks like one that is all damaged. 0: 100; negative: no limit.
	MaxDamaged int
}

func (c Config) withDefaults() Config {
	c.BytesPerSecond = cmp.Or(c.BytesPerSecond, 16<<20)
	c.RequestsPerSecond = cmp.Or(c.RequestsPerSecond, 50)
	c.Interval = cmp.Or(c.Interval, 24*time.Hour)
	c.Every = cmp.Or(c.Every, 100)
	c.MaxDamaged = cmp.Or(c.MaxDamaged, 100)
	return c
}

// check reports what no round can work with.
func (c Config) check() error {
	switch {
	case c.Holder == "":
		return errors.New("scrub: the configuration names no holder for the lease")
	case c.BytesPerSecond < 0 || c.RequestsPerSecond < 0 || c.Interval < 0 || c.Every < 0:
		return errors.New("scrub: a rate, an interval or a number of records is negative")
	}
	return nil
}

// Deps are what a round works with. Records and Data are the stores themselves, below every cache: what a cache has is not what is stored.
type Deps struct {
	Records  format.Store
	Data     data.Store
	Registry *registry.Local // marks what is damaged
	Log      *slog.Logger
	Counters *Counters // nil: nobody reads them
}

// ErrTooMuch is a round that stopped because it had marked Config.MaxDamaged blobs.
var ErrTooMuch = errors.New("scrub: so many blobs are damaged that the store itself may not be what it was: look whether it is the right one, and " +
	"complete; if so, let scrub go on, it marks more each time")

const (
	retryWait   = time.Minute      // after a round that stopped for want of the store
	longestWait = time.Hour        // between two looks whether a round is due
	endTime     = 10 * time.Second // to save the progress when a round ends early
)

// Last returns the report of the round that goes on, by any replica, up to the progress that it saved; else that of the last one. nil:
// there was none yet. It makes one read.
func Last(ctx context.Context, s format.Store) (*Report, error) {
	var p progress
	if found, err := lease.Saved(ctx, s, Lease, &p); err != nil || !found {
		return nil, err
	}
	return &p.Report, nil
}

// Run makes a round, or goes on with the one that was begun, by any replica, and has not ended. It does not ask whether one is due.
// The report is of the whole round, and beside an error of what was done so far; nil when there was nothing to begin with.
// Errors: *lease.HeldError when another process is at it; lease.ErrLost when one has taken it over; ErrTooMuch; those of the stores, when they
// do not answer. After each of these, and after a crash, the next Run goes on from the progress that was saved.
func Run(ctx context.Context, deps Deps, cfg Config) (*Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if deps.Counters == nil {
		deps.Counters = &Counters{}
	}
	held, err := lease.Take(ctx, deps.Records, Lease, cfg.Holder, 0)
	if err != nil {
		return nil, err
	}
	r, err := newRound(ctx, deps, cfg, held)
	if err != nil {
		return nil, errors.Join(err, release(ctx, held))
	}
	holding, stop := held.Hold(ctx)
	err = r.run(holding)
	if lost := context.Cause(holding); errors.Is(lost, lease.ErrLost) {
		err = lost
	}
	stop()
	if errors.Is(err, lease.ErrLost) {
		return &r.progress.Report, fmt.Errorf("scrub: another replica may have taken over: %w", err)
	}
	if err != nil {
		deps.Counters.Failures.Add(1)
		return &r.progress.Report, errors.Join(err, r.leave(ctx))
	}
	return &r.progress.Report, r.leave(ctx)
}

// leave saves the progress and lets the next one have the lease. It is done in a short time also when ctx has ended.
func (r *round) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := r.lease.Save(ctx, &r.progress); err != nil {
		return err // the lease ends by itself, and the round goes on from what was saved before
	}
	return r.lease.Release(ctx, true)
}

func release(ctx context.Context, l *lease.Lease) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return l.Release(ctx, true)
}

// Serve makes a round whenever one is due until ctx ends, which it returns the error of: Config.Interval after the last one ended, at
// whatever replica, or after it stopped for ErrTooMuch. When the store does not answer it goes on a minute later.
func Serve(ctx context.Context, deps Deps, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return err
	}
	for {
		wait, err := due(ctx, deps, cfg)
		if err == nil && wait <= 0 {
			var report *Report
			if report, err = Run(ctx, deps, cfg); err == nil {
				deps.Log.InfoContext(ctx, "scrub: a round has ended", "records", report.Records, "bytes", report.Bytes,
					"damaged", report.DamagedTotal, "skipped", report.Skipped, "took", report.Ended.Sub(report.Started))
				continue
			}
		}
		var held *lease.HeldError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &held):
			wait = held.Until.Sub(deps.Records.Records.Now())
		case errors.Is(err, ErrTooMuch):
			wait = longestWait
			deps.Log.ErrorContext(ctx, "scrub: a round has stopped, it goes on when the next is due", "err", err)
		case err != nil:
			wait = retryWait
			deps.Log.WarnContext(ctx, "scrub: a round has stopped, it goes on soon", "err", err)
		}
		if err := sleep(ctx, min(max(wait, time.Second), longestWait)); err != nil {
			return err
		}
	}
}

// due is how long it is until the next round begins, or goes on; 0 or less: now.
func due(ctx context.Context, deps Deps, cfg Config) (time.Duration, error) {
	last, err := Last(ctx, deps.Records)
	if err != nil || last == nil {
		return 0, err
	}
	rested := last.Ended
	if rested.IsZero() {
		rested = last.Stopped
	}
	if rested.IsZero() {
		return 0, nil
	}
	return rested.Add(cfg.Interval).Sub(deps.Records.Records.Now()), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
