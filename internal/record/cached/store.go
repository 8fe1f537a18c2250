package cached

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Config is what a cache is made from. The zero value is one in memory only, of the default size.
type Config struct {
	MaxMemory int64       // bytes of memory, about; 0: 32 MiB
	Ages      format.Ages // those of the registry over the store; zero: format.DefaultAges

	Shared   Cache         // nil: in memory only. The Store closes it
	Budget   time.Duration // how long a read waits for Shared; 0: DefaultBudget
	Identity string        // of the store, as all replicas over it name it and no other store is named: endpoint, bucket, root directory
	// Key returns the secret that all replicas over the store have, and nobody else: what another one sealed is not believed. It is asked at every use, so that it may be
	// replaced, and may return nil while there is none: then Shared is not used.
	Key func() []byte
}

// Store is a record store that remembers, for readers that allow it (format.Recall), links that were seen live and fences. Every other read, every list and
// every write goes to the store that it wraps, whose promises it keeps.
type Store struct {
	next   record.Store
	values format.Store
	cfg    Config
	memory *memory
	shared *shared // nil: there is none
	counts Counts
}

var _ record.Store = (*Store)(nil)

// New returns a store that remembers what it sees of next. It makes no request. log is told when the shared cache is given up, and when it answers again.
func New(ctx context.Context, next record.Store, cfg Config, log *slog.Logger) *Store {
	if cfg.Ages == (format.Ages{}) {
		cfg.Ages = format.DefaultAges()
	}
	s := &Store{next: next, values: format.Store{Records: next, Ages: cfg.Ages}, cfg: cfg, memory: newMemory(cfg.MaxMemory)}
	if cfg.Shared != nil {
		s.shared = newShared(ctx, cfg.Shared, cfg.Budget, &s.counts, log)
	}
	return s
}

// Counts are what the cache did so far.
func (s *Store) Counts() *Counts { return &s.counts }

// Shares reports whether there is a shared cache.
func (s *Store) Shares() bool { return s.shared != nil }

// Close ends what goes on in the background and closes the shared cache. It is safe to call twice.
func (s *Store) Close() error { return s.shared.close() }

// Now implements record.Store.
func (s *Store) Now() time.Time { return s.next.Now() }

// List implements record.Store.
func (s *Store) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return s.next.List(ctx, prefix, after)
}

// Delete implements record.Store.
func (s *Store) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	return s.next.Delete(ctx, key, cond)
}

// Get implements record.Store: it is a read of the store, but for what its reader allows (format.Recall).
func (s *Store) Get(ctx context.Context, key record.Key) (record.Record, error) {
	recall := format.RecallOf(ctx)
	if repo, ok := fenceRepository(key); ok {
		if recall.AnyAge() {
			if f, ok := s.recallFence(ctx, key, repo); ok {
				return f.record(key)
			}
		}
		return s.readFence(ctx, key, repo)
	}
	if allowed, several := recall.Links(); allowed {
		if repo, ok := linkRepository(key); ok {
			return s.recallLink(ctx, recall, key, repo, several)
		}
	}
	return s.next.Get(ctx, key)
}

// Put implements record.Store: it is a write of the store. What was remembered of the key is forgotten, or replaced.
func (s *Store) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if repo, ok := fenceRepository(key); ok {
		stamp, err := s.next.Put(ctx, key, value, cond)
		if err == nil {
			s.learnFence(key, repo, record.Record{Value: value, Stamp: stamp})
		}
		return stamp, err
	}
	repo, ok := linkRepository(key)
	if !ok {
		return s.next.Put(ctx, key, value, cond)
	}
	before, known := s.memory.fences.GetIfPresent(repo) // before the write, whose value is there after it
	s.memory.links.Invalidate(key)
	stamp, err := s.next.Put(ctx, key, value, cond)
	if err == nil {
		s.learnLink(key, before.fence, known, record.Record{Value: value, Stamp: stamp})
	}
	return stamp, err
}

// record is the answer to a Get of a fence.
func (f knownFence) record(key record.Key) (record.Record, error) {
	if f.rec.Version == "" {
		return record.Record{}, fmt.Errorf("cached: get %s: %w", key, record.ErrNotFound)
	}
	return f.rec, nil
}

// recallFence returns where a fence was at some time.
func (s *Store) recallFence(ctx context.Context, key record.Key, repo oci.Repository) (knownFence, bool) {
	f, ok := s.memory.fences.GetIfPresent(repo)
	s.counts.Memory.count(ok)
	if ok {
		return f, true
	}
	v, ok := s.open(ctx, kindFence, key)
	if !ok {
		return knownFence{}, false
	}
	f, err := asFence(s.values, key, v.rec)
	if err != nil || f.fence != v.fence { // sealed by a version that reads it otherwise
		return knownFence{}, false
	}
	s.memory.fences.SetIfAbsent(repo, f) // never over what was read since
	return f, true
}

// readFence reads a fence from the store.
func (s *Store) readFence(ctx context.Context, key record.Key, repo oci.Repository) (record.Record, error) {
	rec, err := s.next.Get(ctx, key)
	if err == nil || errors.Is(err, record.ErrNotFound) {
		s.learnFence(key, repo, rec)
	}
	return rec, err
}

// learnFence remembers where a fence is. When two reads end in another order than they began the older stays, which is as good: it was there before
// all that is read from now on.
func (s *Store) learnFence(key record.Key, repo oci.Repository, rec record.Record) {
	f, err := asFence(s.values, key, rec)
	if err != nil {
		return // its reader says so
	}
	if old, absent := s.memory.fences.Set(repo, f); absent || old.fence != f.fence {
		s.seal(kindFence, key, sealed{f.fence, f.rec})
	}
}

// recallLink is Get of a link: with a look at the fence instead, when it was seen live. The shared cache is asked only when several links are read: for one, the store's
// answer about the link costs no more than that about the fence.
func (s *Store) recallLink(ctx context.Context, recall *format.Recall, key record.Key, repo oci.Repository, several bool) (record.Record, error) {
	before, known := s.memory.fences.GetIfPresent(repo)
	l, found := s.remembered(key)
	s.counts.Memory.count(found)
	if !found && several {
		l, found = s.openLink(ctx, key)
	}
	if !found {
		return s.readLink(ctx, key, before.fence, known)
	}
	fenceKey := format.FenceKey(repo)
	rec, err := recall.Look(ctx, fenceKey, func() (record.Record, error) {
		rec, err := s.readFence(ctx, fenceKey, repo)
		if errors.Is(err, record.ErrNotFound) {
			return record.Record{}, nil
		}
		return rec, err
	})
	if err != nil {
		return record.Record{}, fmt.Errorf("cached: get %s: look at the fence: %w", key, err)
	}
	now, err := s.fenceOf(fenceKey, repo, rec)
	if err == nil && now.fence == l.under {
		return l.rec, nil
	}
	s.counts.Moved.Add(1)
	s.memory.links.Invalidate(key)
	return s.readLink(ctx, key, now.fence, err == nil)
}

// fenceOf reads the record of a fence, which the last read of it has mostly done already.
func (s *Store) fenceOf(key record.Key, repo oci.Repository, rec record.Record) (knownFence, error) {
	if f, known := s.memory.fences.GetIfPresent(repo); known && f.rec.Version == rec.Version {
		return f, nil
	}
	return asFence(s.values, key, rec)
}

// openLink asks the shared cache for a link.
func (s *Store) openLink(ctx context.Context, key record.Key) (seenLink, bool) {
	v, ok := s.open(ctx, kindLink, key)
	if !ok || !s.live(key, v.rec) {
		return seenLink{}, false
	}
	l := s.seen(v.fence, v.rec)
	s.memory.links.Set(key, l)
	return l, true
}

// readLink reads a link from the store, and remembers it when it is live and the fence is known as it was before the read.
func (s *Store) readLink(ctx context.Context, key record.Key, before fence, known bool) (record.Record, error) {
	rec, err := s.next.Get(ctx, key)
	if err == nil {
		s.learnLink(key, before, known, rec)
	}
	return rec, err
}

// learnLink remembers a link that is live, and has others forget one that is not.
func (s *Store) learnLink(key record.Key, before fence, known bool, rec record.Record) {
	switch {
	case !s.live(key, rec):
		s.memory.links.Invalidate(key)
		if sealer, ok := s.sealer(); ok {
			s.shared.forget(sealer.name(kindLink, key))
		}
	case known:
		rec.Value = withoutPadding(rec.Value)
		s.memory.links.Set(key, s.seen(before, rec))
		s.seal(kindLink, key, sealed{before, rec})
	}
}

// live reports whether a record is that of a link which is live for every reader.
func (s *Store) live(key record.Key, rec record.Record) bool {
	link, err := format.Parse[format.Link](s.values, key, rec)
	return err == nil && link.Is(format.Live)
}

func (s *Store) seen(under fence, rec record.Record) seenLink {
	return seenLink{under, rec, s.next.Now().Add(keptFor)}
}

func (s *Store) remembered(key record.Key) (seenLink, bool) {
	l, ok := s.memory.links.GetIfPresent(key)
	return l, ok && s.next.Now().Before(l.until)
}

// sealer is that of the secret as it is now; false when there is no shared cache, or no secret yet.
func (s *Store) sealer() (sealer, bool) {
	if s.shared == nil || s.cfg.Key == nil {
		return sealer{}, false
	}
	key := s.cfg.Key()
	return sealer{key, s.cfg.Identity}, len(key) > 0
}

// seal gives the shared cache what was seen.
func (s *Store) seal(k kind, key record.Key, v sealed) {
	if sealer, ok := s.sealer(); ok {
		s.shared.set(sealer.name(k, key), sealer.seal(k, key, v))
	}
}

// open asks the shared cache for what somebody saw. What does not verify is not there, and is counted.
func (s *Store) open(ctx context.Context, k kind, key record.Key) (sealed, bool) {
	sealer, ok := s.sealer()
	if !ok {
		return sealed{}, false
	}
	envelope := s.shared.get(ctx, sealer.name(k, key))
	if envelope == nil {
		s.counts.Shared.count(false)
		return sealed{}, false
	}
	v, err := sealer.open(k, key, envelope)
	switch {
	case errors.Is(err, errForm):
		s.counts.Form.Add(1)
	case errors.Is(err, errUnknown):
		s.counts.Version.Add(1)
	case errors.Is(err, errForeign):
		s.counts.Foreign.Add(1)
	}
	s.counts.Shared.count(err == nil)
	return v, err == nil
}
