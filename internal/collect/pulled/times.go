package pulled

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Times are the pull times of a repository.
type Times struct {
	since  time.Time
	pulled map[oci.Digest]time.Time
}

// Of returns when a manifest was last pulled, at the latest: for one without a record that is when the pulls of its repository began to be
// noted. So a rule that is new removes nothing because of pulls that nobody noted.
func (t Times) Of(d oci.Digest) time.Time {
	if at := t.pulled[d]; at.After(t.since) {
		return at
	}
	return t.since
}

// Digests yields the manifests that have a record, in no order. Those that the repository does not have any more are to be forgotten.
func (t Times) Digests() iter.Seq[oci.Digest] { return maps.Keys(t.pulled) }

// Forget makes a tombstone of a manifest's record, when the manifest is gone. A pull that comes between wins: the record stays then, for
// the next time.
func Forget(ctx context.Context, store format.Store, repo oci.Repository, d oci.Digest) error {
	key := format.PulledKey(repo, d)
	current, err := format.Read[format.Pulled](ctx, store, key)
	if err != nil || !current.Present() {
		return err
	}
	if _, err = format.Swap(ctx, store, key, current, format.Dead); format.IsConflict(err) {
		return nil
	}
	return err
}

// Read returns the pull times of a repository. It reads no values, a request for every 1,000 manifests: the time is that of the
// record's writing, which is at most a round later than the pull that it tells of. One more request reads since when pulls are noted; the first
// call says that it is now, a call on a later day that they still are, and after a week without a call it is now again.
func Read(ctx context.Context, store format.Store, repo oci.Repository) (Times, error) {
	since, err := begin(ctx, store, repo)
	if err != nil {
		return Times{}, err
	}
	return list(ctx, store, repo, since)
}

// Look is Read without a write: what a call of Read would return now.
func Look(ctx context.Context, store format.Store, repo oci.Repository) (Times, error) {
	current, err := format.Read[format.PulledSince](ctx, store, format.PulledSinceKey(repo))
	if err != nil {
		return Times{}, err
	}
	since := current.Head.Since
	if now := store.Records.Now(); !current.Present() || now.Sub(current.Modified) > gap {
		since = now
	}
	return list(ctx, store, repo, since)
}

func list(ctx context.Context, store format.Store, repo oci.Repository, since time.Time) (Times, error) {
	t := Times{since: since, pulled: map[oci.Digest]time.Time{}}
	prefix := format.PulledPrefix(repo)
	for entry, err := range store.Records.List(ctx, prefix, "") {
		if err != nil {
			return Times{}, fmt.Errorf("pulled: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize || entry.Key == format.PulledSinceKey(repo) {
			continue
		}
		d, err := format.PartDigest(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if err != nil {
			return Times{}, fmt.Errorf("pulled: list %s: %w", prefix, err)
		}
		t.pulled[d] = entry.Modified
	}
	return t, nil
}

const (
	renewed = 24 * time.Hour     // how old the record of a repository whose pulls are noted may become
	gap     = 7 * 24 * time.Hour // without a renewal for this long, they were not noted meanwhile
)

// begin returns since when pulls are noted, and keeps the record of it.
func begin(ctx context.Context, store format.Store, repo oci.Repository) (time.Time, error) {
	key := format.PulledSinceKey(repo)
	current, err := format.Read[format.PulledSince](ctx, store, key)
	for range attempts {
		if err != nil {
			return time.Time{}, err
		}
		now := store.Records.Now()
		head := current.Head
		switch age := now.Sub(current.Modified); {
		case !current.Present() || age > gap:
			head = format.PulledSince{Meta: format.Meta{State: format.Live}, Since: now.UTC().Truncate(time.Millisecond)}
		case age < renewed:
			return head.Since, nil
		}
		current, err = format.WriteOrFind(ctx, store, key, current, head, nil, false)
		if err == nil {
			return current.Head.Since, nil
		}
		if !format.IsConflict(err) {
			return time.Time{}, err
		}
		err = nil // current is what is there now
	}
	return time.Time{}, fmt.Errorf("pulled: write %s: %w", key, record.ErrConflict)
}
