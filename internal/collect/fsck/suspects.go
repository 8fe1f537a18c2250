package fsck

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/record"
)

// look checks one thing by what a view shows.
type look func(ctx context.Context, v *view) ([]Finding, error)

// suspect is something in which a look found something wrong.
type suspect struct {
	look  look
	found []Finding // by the newest look
}

// first looks by values that were read in bulk, at different times. What it finds is suspected.
func (c *checker) first(ctx context.Context, v *view, look look) error {
	found, err := look(ctx, v)
	if err == nil && len(found) > 0 {
		c.suspect(look)
	}
	return err
}

func (c *checker) suspect(look look) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspects = append(c.suspects, suspect{look: look})
}

// confirm looks at all suspects again, twice, and reports what is found each time.
func (c *checker) confirm(ctx context.Context) error {
	c.mu.Lock()
	suspects := c.suspects
	c.suspects = nil
	c.mu.Unlock()
	before := len(suspects)
	suspects, err := c.lookAgain(ctx, suspects)
	if err == nil && len(suspects) > 0 {
		if err = pause(ctx, c.cfg.Pause); err == nil {
			suspects, err = c.lookAgain(ctx, suspects)
		}
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.report.InFlight += int64(before - len(suspects))
	c.mu.Unlock()
	for _, s := range suspects {
		for _, f := range s.found {
			if err := c.conclude(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("fsck: wait for the second look: %w", ctx.Err())
	}
}

// lookAgain returns those suspects in which something is found still.
func (c *checker) lookAgain(ctx context.Context, suspects []suspect) ([]suspect, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Parallel)
	for i := range suspects {
		s := &suspects[i]
		g.Go(func() error {
			found, err := c.snapshot(ctx, s.look)
			if s.found != nil { // only what was found before as well
				found = slices.DeleteFunc(found, func(f Finding) bool { return !slices.ContainsFunc(s.found, f.same) })
			}
			s.found = found
			return err
		})
	}
	err := g.Wait()
	return slices.DeleteFunc(suspects, func(s suspect) bool { return len(s.found) == 0 }), err
}

// snapshots is how often a look is made at keys that change meanwhile. What changes so often is being written: it is no finding.
const snapshots = 4

// snapshot looks at values that were all there at one moment.
func (c *checker) snapshot(ctx context.Context, look look) ([]Finding, error) {
	for range snapshots {
		v := c.newView()
		found, err := look(ctx, v)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		held, err := v.held(ctx)
		if err != nil {
			return nil, err
		}
		if held {
			return found, nil
		}
	}
	return nil, nil
}

// conclude reports a finding, mended if that is wanted and possible.
func (c *checker) conclude(ctx context.Context, f Finding) error {
	if c.cfg.Repair {
		did, mended, err := c.repair(ctx, f)
		if err != nil {
			return err
		}
		f.Repaired = mended
		if did != "" {
			c.report.Repaired = append(c.report.Repaired, Repair{Kind: f.Kind, Keys: f.Keys, Did: did})
		}
	}
	c.report.Counts[f.Kind]++
	if !f.Repaired {
		c.report.unrepaired[f.Severity]++
	}
	if c.report.Counts[f.Kind] <= int64(c.cfg.MaxFindings) {
		c.report.Findings = append(c.report.Findings, f)
	}
	return nil
}

// lookAtKey finds what is wrong with a value by itself.
func (c *checker) lookAtKey(key record.Key, a address) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		it, err := loadAny(ctx, v, key, a.class)
		if err != nil {
			return nil, err
		}
		var found []Finding
		for _, p := range it.own(a) {
			found = append(found, find(p.kind, p.detail, key))
		}
		if age := c.store.Records.Now().Sub(it.stamp().Modified); it.stamp().Version != "" && isLeft(a.class, it.about()) && age > c.store.Ages.Orphan {
			found = append(found, findf(LeftOver, []record.Key{key}, "it is %q, written %s ago", it.about().state, age.Round(time.Second)))
		}
		return found, nil
	}
}

// lookAtUnknown finds a key that the format does not make.
func (c *checker) lookAtUnknown(key record.Key) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		it, err := load[unknownHead](ctx, v, key)
		if err != nil || !it.exists {
			return nil, err
		}
		return []Finding{findf(UnknownKey, []record.Key{key}, "a value of %d bytes", it.length)}, nil
	}
}

// unknownHead is the head of a value of no known class.
type unknownHead struct{ format.Meta }

// isLeft reports whether a value is in a state that the collector is to end.
func isLeft(class Class, f facts) bool {
	return class == Sessions || f.state == format.Pending || f.state == format.Condemned || f.state == format.Doomed
}
