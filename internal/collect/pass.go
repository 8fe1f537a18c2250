package collect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Progress is how far a pass is. A collector that takes the work over goes on from it: what was done before is not done again, whatever it
// finds on the way it decides anew.
type Progress struct {
	Full    bool      `json:"full,omitempty"`
	Phase   Phase     `json:"phase,omitempty"`
	Cursor  string    `json:"cursor,omitempty"` // the last key of the phase that was dealt with
	Started time.Time `json:"started,omitzero"`
}

// Phase is a part of a pass.
type Phase string

// The phases, in their order. Only a full pass has links and orphans.
const (
	PhaseRepositories Phase = "repositories"
	PhaseLinks        Phase = "links"
	PhaseSessions     Phase = "sessions"
	PhaseOrphans      Phase = "orphans"
)

var phases = []Phase{PhaseRepositories, PhaseLinks, PhaseSessions, PhaseOrphans}

// Pass makes a pass over what hints say has changed, or over everything, from where at says, and reports what came of it; the report is not
// nil also with an error. save is called now and then with how far it is, and ends the pass by an error; it may be nil.
func (c *Collector) Pass(ctx context.Context, at Progress, save func(context.Context, Progress) error) (*Report, error) {
	if save == nil {
		save = func(context.Context, Progress) error { return nil }
	}
	return c.reported(ctx, at.Full, func() error {
		if at.Started.IsZero() {
			at.Started = c.now()
		}
		return c.phases(ctx, at, save)
	})
}

// reported does work with a new report and the time as it is, and writes the hints that came of it.
func (c *Collector) reported(ctx context.Context, full bool, work func() error) (*Report, error) {
	c.dying = map[record.Key]bool{}
	c.report = &Report{Full: full, DryRun: c.cfg.DryRun}
	err := c.setClock(ctx)
	if c.report.Started = c.now(); err == nil {
		err = work()
	}
	if hintErr := c.due.Write(context.WithoutCancel(ctx)); err == nil {
		err = hintErr
	}
	c.report.Ended = c.now()
	if err != nil {
		c.report.Failed = err.Error()
	}
	return c.report, err
}

// stopError ends a pass: whoever made it wants no more of it.
type stopError struct{ error }

func (e stopError) Unwrap() error { return e.error }

func (c *Collector) phases(ctx context.Context, at Progress, save func(context.Context, Progress) error) error {
	begin := max(slices.Index(phases, at.Phase), 0)
	var refs *references
	for i, phase := range phases[begin:] {
		if i > 0 {
			at.Phase, at.Cursor = phase, ""
			if err := save(ctx, at); err != nil {
				return err
			}
		}
		at.Phase = phase
		step := func(cursor record.Key) error {
			at.Cursor = string(cursor)
			if err := save(ctx, at); err != nil {
				return stopError{err}
			}
			return nil
		}
		var err error
		switch {
		case phase == PhaseRepositories && at.Full:
			refs, err = c.allRepositories(ctx, record.Key(at.Cursor), step)
		case phase == PhaseRepositories:
			err = c.changedRepositories(ctx)
		case phase == PhaseLinks && at.Full:
			err = c.allLinks(ctx, refs, record.Key(at.Cursor), step)
			refs = nil // its memory is for others
		case phase == PhaseSessions:
			err = c.CollectSessions(ctx)
			if err == nil {
				err = c.sweep(ctx)
			}
			if err == nil {
				err = c.CollectLogins(ctx)
			}
		case phase == PhaseOrphans && at.Full:
			err = c.CollectOrphans(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweep gives up uploads that were begun at the store and never finished.
func (c *Collector) sweep(ctx context.Context) error {
	if c.cfg.DryRun {
		return nil
	}
	n, err := c.segments.Sweep(ctx, c.now().Add(-c.cfg.MultipartAge))
	c.count(KindUploads, Count{Found: int64(n), Freed: int64(n)})
	if err != nil {
		return fmt.Errorf("collect: give up unfinished uploads: %w", err)
	}
	return nil
}

// changedRepositories collects what hints name, batch by batch.
func (c *Collector) changedRepositories(ctx context.Context) error {
	for {
		batch, err := c.readHints(ctx)
		if err != nil {
			return err
		}
		merges := batch.repositories[""]
		delete(batch.repositories, "")
		for _, repo := range slices.Sorted(maps.Keys(batch.repositories)) {
			if err := c.CollectRepository(ctx, repo, batch.repositories[repo]); err != nil {
				return err
			}
		}
		if err := c.mergeHinted(ctx, merges); err != nil { // last: it needs room
			return err
		}
		if err := c.dropHints(ctx, batch.read); err != nil {
			return err
		}
		if !batch.more || c.cfg.DryRun {
			return nil
		}
	}
}

// CollectRepository looks at one repository and collects what is useless of it, down to the bytes of blobs that nobody has any more.
func (c *Collector) CollectRepository(ctx context.Context, repo oci.Repository, hinted map[oci.Digest]bool) error {
	v, err := c.look(ctx, repo)
	if err == nil {
		err = c.collectView(ctx, v, hinted)
	}
	return c.stepOver(ctx, "repository "+string(repo), err)
}

func (c *Collector) collectView(ctx context.Context, v *view, hinted map[oci.Digest]bool) error {
	c.report.Repositories++
	died, err := c.collectRepository(ctx, v, hinted)
	if err != nil {
		return err
	}
	if err := c.collectDigests(ctx, died); err != nil {
		return err
	}
	return c.clearAway(ctx, v)
}

func (c *Collector) mergeHinted(ctx context.Context, blobs map[oci.Digest]bool) error {
	for _, d := range slices.Sorted(maps.Keys(blobs)) {
		if err := c.tend(ctx, format.BlobKey(d)); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads the values below a prefix that are not dead, several at once, and calls see with every one in the order of the keys.
// Those that cannot be read are stepped over, and counted.
func readAll[H any, P format.HeadOf[H]](ctx context.Context, c *Collector, prefix record.Key, see func(record.Key, format.Stored[H]) error) (unread int, err error) {
	var keys []record.Key
	flush := func() error {
		values, failed := make([]format.Stored[H], len(keys)), make([]error, len(keys))
		if err := each(ctx, len(keys), func(ctx context.Context, i int) (err error) {
			values[i], failed[i] = format.Read[H, P](ctx, c.store, keys[i])
			return c.stepOver(ctx, string(keys[i]), failed[i])
		}); err != nil {
			return err
		}
		for i, key := range keys {
			if failed[i] != nil {
				unread++
			} else if err := see(key, values[i]); err != nil {
				return err
			}
		}
		keys = keys[:0]
		return nil
	}
	for entry, err := range c.store.Records.List(ctx, prefix, "") {
		if err != nil {
			return unread, fmt.Errorf("collect: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		if keys = append(keys, entry.Key); len(keys) == 256 {
			if err := flush(); err != nil {
				return unread, err
			}
		}
	}
	err = flush()
	return unread, err
}
