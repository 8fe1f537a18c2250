package collect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
)

// LeaseName is the lease under which passes are made: one replica at a time, which saves work and decides nothing.
const LeaseName = "collect"

// Schedule says when passes are made.
type Schedule struct {
	Interval time.Duration                      // from the end of a pass to the next; 0: one pass after the start
	Full     time.Duration                      // from a full pass to the next; 0: a week
	Window   func(time.Time) bool               // when a pass may begin; nil: always. One that has begun goes on
	Poll     time.Duration                      // how often a replica looks whether there is something to do; 0: fifteen seconds, or Interval where that is less
	TTL      time.Duration                      // of the lease; 0: lease.DefaultTTL
	Report   func(report *Report, failed error) // is told of each pass; nil: nobody is
}

// state is what the lease remembers for whoever comes next.
type state struct {
	Running   *Progress `json:"running,omitempty"`  // of a pass that has begun and not ended
	Ended     time.Time `json:"ended,omitzero"`     // the last pass
	Full      time.Time `json:"full,omitzero"`      // when the last full pass that came to its end began
	Failures  int       `json:"failures,omitempty"` // of Running, one after the other
	NotBefore time.Time `json:"notBefore,omitzero"` // when it may be tried again
	Last      *Report   `json:"last,omitempty"`
}

// failed notes that a pass failed: it is tried again from where it was, each time later, and given up after some times.
func (s *state) failed(now time.Time, report *Report) {
	s.Failures++
	s.NotBefore = now.Add(min(15*time.Second<<s.Failures, 10*time.Minute))
	if s.Last = report; s.Failures >= mostFailures {
		s.Running, s.Failures, s.Ended = nil, 0, now
	}
}

// mostFailures is how often a pass is tried from one place.
const mostFailures = 4

// Status is what is known of the collector, at any replica.
type Status struct {
	Holder  string    `json:"holder,omitempty"` // who makes a pass now
	Running *Progress `json:"running,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`
	Last    *Report   `json:"last,omitempty"`
}

// Run makes passes by the schedule until ctx ends. Of the replicas that run one does the work; when it dies another goes on from where
// it was, within a minute.
func (c *Collector) Run(ctx context.Context, holder string, s Schedule) {
	poll, full := orElse(s.Poll, min(15*time.Second, orElse(s.Interval, time.Hour))), orElse(s.Full, 7*24*time.Hour)
	for first := true; ; first = false {
		if !first && s.Interval == 0 {
			return
		}
		wait := poll/2 + rand.N(poll) //nolint:gosec // G404: jitter is no secret
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if err := c.turn(ctx, holder, s, full); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "a collector's pass ended early; what it had not done is left for the next", "err", err)
		}
	}
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// turn makes a pass when one is due and nobody else is at it.
func (c *Collector) turn(ctx context.Context, holder string, s Schedule, full time.Duration) error {
	seen, err := lease.Look(ctx, c.store, LeaseName, s.TTL)
	if err != nil || seen.Held {
		return err
	}
	var at state
	if _, err := seen.Progress(&at); err != nil {
		return err
	}
	now := c.store.Records.Now()
	if now.Before(at.NotBefore) {
		return nil
	}
	begin := at.Running == nil
	if begin && (now.Sub(at.Ended) < s.Interval || s.Window != nil && !s.Window(now)) {
		return nil
	}
	l, err := lease.Take(ctx, c.store, LeaseName, holder, s.TTL)
	if held := (*lease.HeldError)(nil); errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.passUnder(ctx, l, func(at *state) Progress {
		if at.Running != nil {
			c.log.InfoContext(ctx, "a collector's pass goes on that was cut off", "phase", at.Running.Phase, "after", at.Running.Cursor)
			return *at.Running
		}
		return Progress{Full: now.Sub(at.Full) >= full, Started: now}
	}, s.Report)
}

// PassNow makes a pass at once, full or of what changed. Errors: *lease.HeldError while another makes one.
func (c *Collector) PassNow(ctx context.Context, holder string, full bool) (*Report, error) {
	if c.cfg.DryRun {
		return c.Pass(ctx, Progress{Full: full}, nil)
	}
	l, err := lease.Take(ctx, c.store, LeaseName, holder, 0)
	if err != nil {
		return nil, err
	}
	var out *Report
	err = c.passUnder(ctx, l, func(at *state) Progress {
		return Progress{Full: full, Started: c.store.Records.Now()}
	}, func(r *Report, _ error) { out = r })
	return out, err
}

// PassOver makes a pass at once over one repository, whoever makes one over all: what it finds there of links, and blobs that no
// repository has any more, is what its manifests leave behind that go now. The report is not nil also with an error.
func (c *Collector) PassOver(ctx context.Context, repo oci.Repository) (*Report, error) {
	return c.reported(ctx, false, func() error { return c.CollectRepository(ctx, repo, nil) })
}

// passUnder makes a pass under a lease that was taken, and gives it up. A pass that was cut off is left to go on from.
func (c *Collector) passUnder(ctx context.Context, l *lease.Lease, from func(*state) Progress, tell func(*Report, error)) error {
	held, stop := l.Hold(ctx)
	defer stop()
	var at state
	if _, err := l.Progress(&at); err != nil {
		return errors.Join(err, l.Release(ctx, true))
	}
	progress := from(&at)
	at.Running = &progress
	err := l.Save(held, at)
	var report *Report
	if err == nil {
		report, err = c.Pass(held, progress, func(ctx context.Context, p Progress) error {
			at.Running = &p
			return l.Save(ctx, at)
		})
		if tell != nil {
			tell(report, err)
		}
	}
	switch now := c.now(); {
	case err == nil:
		at = state{Ended: now, Full: at.Full, Last: report}
		if progress.Full {
			if at.Full = progress.Started; at.Full.After(report.Started) {
				at.Full = report.Started // whoever began it was ahead
			}
		}
		err = l.Save(held, at)
	case held.Err() == nil && report != nil:
		at.failed(now, report)
		err = errors.Join(err, l.Save(held, at))
	}
	if cause := context.Cause(held); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	// Given up also when the process ends: the next one goes on at once.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if releaseErr := l.Release(last, true); err == nil && !errors.Is(releaseErr, lease.ErrLost) {
		err = releaseErr
	}
	return err
}

// Status reads what is known of the collector.
func (c *Collector) Status(ctx context.Context) (Status, error) { return StatusOf(ctx, c.store) }

// StatusOf reads what is known of a store's collector, with one request.
func StatusOf(ctx context.Context, s format.Store) (Status, error) {
	seen, err := lease.Look(ctx, s, LeaseName, 0)
	if err != nil {
		return Status{}, err
	}
	var at state
	if _, err := seen.Progress(&at); err != nil {
		return Status{}, err
	}
	out := Status{Running: at.Running, Ended: at.Ended, Last: at.Last}
	if seen.Held {
		out.Holder = seen.Holder
	}
	return out, nil
}
