package pulled

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/record"
)

// Bounds of a round.
const (
	writers  = 8 // manifests written at a time
	attempts = 4 // to write one, against other replicas
)

// round writes what is noted. What a store that does not answer leaves unwritten is noted again.
func (r *Registry) round(ctx context.Context) error {
	r.rounds.Lock()
	defer r.rounds.Unlock()
	r.mu.Lock()
	noted, missed := r.noted, r.missed
	r.noted, r.missed = map[manifest]time.Time{}, 0
	r.mu.Unlock()

	var mu sync.Mutex
	var damaged []error // of single records: only the first is told
	kept := 0           // noted again
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for m, at := range noted {
		g.Go(func() error {
			err := ctx.Err()
			if err == nil {
				err = r.write(ctx, m, at)
			}
			switch {
			case err == nil:
				return nil
			case ctx.Err() == nil && !errors.Is(err, record.ErrUnavailable):
				mu.Lock()
				damaged = append(damaged, err)
				mu.Unlock()
				return nil // of this record alone, which the next pull tries again
			}
			r.note(m, at)
			mu.Lock()
			kept++
			mu.Unlock()
			return err
		})
	}
	var errs []error
	if err := g.Wait(); err != nil {
		errs = append(errs, fmt.Errorf("pulled: write %d pull times, of which %d are not written yet: %w", len(noted), kept, err))
	}
	if len(damaged) > 0 {
		errs = append(errs, fmt.Errorf("pulled: lose %d pull times: %w", len(damaged), damaged[0]))
	}
	if missed > 0 {
		errs = append(errs, fmt.Errorf("pulled: lose %d pulls: more than %d manifests were pulled in a round", missed, r.cfg.MaxNoted))
	}
	return errors.Join(errs...)
}

// write makes a manifest's record say that it was pulled at that time, unless it has a time that is less than an interval before, or later.
func (r *Registry) write(ctx context.Context, m manifest, at time.Time) error {
	key := format.PulledKey(m.repo, m.digest)
	current, err := format.Read[format.Pulled](ctx, r.store, key)
	for range attempts {
		if err != nil {
			return err
		}
		if current.Present() && at.Sub(current.Head.At) < r.cfg.Interval {
			return nil
		}
		head := format.Pulled{Meta: format.Meta{State: format.Live}, At: at.UTC().Truncate(time.Millisecond)}
		current, err = format.WriteOrFind(ctx, r.store, key, current, head, nil, false)
		if err == nil || !format.IsConflict(err) {
			return err
		}
		err = nil // current is what is there now
	}
	return fmt.Errorf("pulled: write %s: %w", key, record.ErrConflict)
}
