package quota

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

const (
	leaseName = "quota"
	// recountEvery is how often everything is counted anew though nothing asks for it; restFor the least between two counts that something asks for.
	recountEvery = 24 * time.Hour
	restFor      = 10 * time.Minute
	// overdueAfter is when a write whose answer was lost has landed, or never will.
	overdueAfter = time.Minute
)

// takeCount reports whether the caller may count: nobody else of this process does. Whoever counts gives it back.
func (b *Book) takeCount() bool {
	select {
	case b.counting <- struct{}{}:
		return true
	default:
		return false
	}
}

// recountFor counts anew because that is due. The caller has taken the count.
func (b *Book) recountFor(ctx context.Context, why string) {
	err := b.recount(ctx)
	<-b.counting
	var held *lease.HeldError
	switch {
	case err == nil:
		b.log.InfoContext(ctx, "what the quotas are for was counted", "why", why)
	case ctx.Err() == nil && !errors.As(err, &held):
		b.log.WarnContext(ctx, "what the quotas are for could not be counted; it will be tried again", "why", why, "err", err)
	}
}

// due says whether a count is due, by what is known. Before the first look nothing is.
func (b *Book) due() (bool, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.view == nil {
		return false, ""
	}
	for _, l := range b.limits {
		if !b.view.counted(l.Prefix) {
			return true, "a prefix was never counted"
		}
	}
	if len(b.limits) == 0 {
		return false, ""
	}
	now := b.store.Records.Now()
	since := now.Sub(b.view.base.Head.Ended)
	if since >= recountEvery {
		return true, "the last count is a day old"
	}
	if since < restFor {
		return false, ""
	}
	for _, l := range b.view.ledgers {
		switch {
		case l.Head.UnsureAt.After(b.view.base.Head.Began) && now.Sub(l.Head.UnsureAt) >= overdueAfter:
			return true, "the answer to a write was lost"
		case !l.Head.Closed && now.Sub(l.Modified) >= silentAfter:
			return true, "a replica died"
		}
	}
	return false, ""
}

// Recount counts everything that the limits are for, and makes that what all replicas go by. It reads every link and manifest below the prefixes, with a list of all
// links. Pushes and deletes go on meanwhile: what is pushed during the count may be counted twice until the next one, never not at all.
// Errors: *lease.HeldError when another replica counts; those of the store. Then all stays as it was.
func (b *Book) Recount(ctx context.Context) error {
	select {
	case b.counting <- struct{}{}:
		defer func() { <-b.counting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return b.recount(ctx)
}

func (b *Book) recount(ctx context.Context) error {
	held, err := lease.Take(ctx, b.store, leaseName, b.cfg.Holder, 0)
	if err != nil {
		return err
	}
	defer func() { _ = held.Release(context.WithoutCancel(ctx), false) }() // it is free by itself soon
	ctx, stop := held.Hold(ctx)
	defer stop()
	began := b.store.Records.Now()
	start, err := readView(ctx, b.store, b.current())
	if err != nil {
		return err
	}
	slow := b.store
	if b.cfg.Slow != nil {
		slow.Records = b.cfg.Slow
	}
	counted, err := count(ctx, slow, b.prefixes(start))
	if err != nil {
		return err
	}
	next := base{Counted: counted, Began: began, Ended: b.store.Records.Now(), Marks: map[string]map[string]mark{}}
	next.State = format.Live
	for id, l := range start.ledgers { // what they removed is of the last count, and counts no more
		marks := map[string]mark{}
		for prefix := range counted {
			if was := l.Head.Sums[prefix]; was != nil {
				marks[prefix] = mark{Added: was.Added}
			}
		}
		next.Marks[id] = marks
	}
	if _, err := format.Write(ctx, b.store, format.KeyQuotaBase, start.base, next, nil, false); err != nil {
		return fmt.Errorf("quota: write what was counted: %w", err)
	}
	if err := b.retire(ctx, start); err != nil {
		b.log.WarnContext(ctx, "the ledgers of replicas that ended were not removed; the next count will", "err", err)
	}
	_, err = b.Look(ctx)
	return err
}

// retire buries the ledgers of replicas that had ended before a count began: all that they did is in it. One that is alive after all finds its ledger dead, and begins a new one.
func (b *Book) retire(ctx context.Context, start *view) error {
	var errs []error
	for id, l := range start.ledgers {
		if id == b.id || !l.Head.Closed && start.at.Sub(l.Modified) < silentAfter {
			continue
		}
		dead := ledger{}
		dead.State = format.Dead
		if _, err := format.Write(ctx, b.store, format.QuotaLedgerKey(id), l, dead, nil, false); err != nil && !format.IsConflict(err) {
			errs = append(errs, err)
		}
	}
	for entry, err := range b.store.Records.List(ctx, format.PrefixQuotaLedgers, "") {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if entry.Size != format.DeadSize || start.at.Sub(entry.Modified) < b.store.Ages.Tombstone {
			continue
		}
		if err := b.store.Records.Delete(ctx, entry.Key, record.IfVersion(entry.Version)); err != nil && !errors.Is(err, record.ErrUnsupported) && !format.IsConflict(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// prefixes are those of this replica's limits, and those that others have, whose configuration may be newer.
func (b *Book) prefixes(v *view) map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]bool{}
	for _, l := range b.limits {
		out[l.Prefix] = true
	}
	for _, l := range v.ledgers {
		for prefix := range l.Head.Sums {
			out[prefix] = out[prefix] || !l.Head.Closed
		}
	}
	return out
}

// tally sums up by prefix. Safe for concurrent use.
type tally struct {
	mu   sync.Mutex
	sums map[string]format.Load
}

func (t *tally) covers(repo oci.Repository) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for prefix := range t.sums {
		if covers(prefix, repo) {
			return true
		}
	}
	return false
}

func (t *tally) add(repo oci.Repository, l format.Load) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for prefix, s := range t.sums {
		if covers(prefix, repo) {
			t.sums[prefix] = plus(s, l)
		}
	}
}

// count reads what the repositories below each prefix hold.
func count(ctx context.Context, s format.Store, prefixes map[string]bool) (map[string]format.Load, error) {
	t := &tally{sums: map[string]format.Load{}}
	for prefix, wanted := range prefixes {
		if wanted {
			t.sums[prefix] = format.Load{}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	err := t.repositories(gctx, s, g)
	if err == nil {
		err = t.links(gctx, s, g)
	}
	if waitErr := g.Wait(); waitErr != nil {
		err = waitErr // the cause
	}
	if err != nil {
		return nil, fmt.Errorf("quota: count: %w", err)
	}
	return t.sums, nil
}

// repositories counts the repositories, and the manifests of those that are, or were, in the catalog.
func (t *tally) repositories(ctx context.Context, s format.Store, g *errgroup.Group) error {
	for entry, err := range s.Records.List(ctx, format.PrefixRepositories, "") {
		if err != nil {
			return err
		}
		repo := format.UnescapeRepository(strings.TrimPrefix(string(entry.Key), string(format.PrefixRepositories)))
		if !t.covers(repo) {
			continue
		}
		if entry.Size != format.DeadSize {
			g.Go(func() error { return weighed[format.Marker](ctx, s, entry.Key, t) })
		}
		for m, err := range s.Records.List(ctx, format.ManifestPrefix(repo), "") {
			if err != nil {
				return err
			}
			if m.Size != format.DeadSize {
				g.Go(func() error { return weighed[format.Manifest](ctx, s, m.Key, t) })
			}
		}
	}
	return nil
}

func (t *tally) links(ctx context.Context, s format.Store, g *errgroup.Group) error {
	for entry, err := range s.Records.List(ctx, format.PrefixLinks, "") {
		if err != nil {
			return err
		}
		key := string(entry.Key)
		if entry.Size == format.DeadSize || !t.covers(format.UnescapeRepository(key[strings.LastIndexByte(key, '/')+1:])) {
			continue
		}
		g.Go(func() error { return weighed[format.Link](ctx, s, entry.Key, t) })
	}
	return nil
}

func weighed[H any, P format.HeadOf[H]](ctx context.Context, s format.Store, key record.Key, t *tally) error {
	v, err := format.Read[H, P](ctx, s, key)
	if err != nil {
		return err
	}
	if repo, l := format.LoadOf[H, P](key, v); repo != "" {
		t.add(repo, l)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
