package revoke_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/record/mem"
)

// outage is a store that can be out of reach.
type outage struct {
	record.Store
	gone  atomic.Bool
	reads atomic.Int64
}

func (o *outage) Get(ctx context.Context, key record.Key) (record.Record, error) {
	o.reads.Add(1)
	if o.gone.Load() {
		return record.Record{}, record.ErrUnavailable
	}
	return o.Store.Get(ctx, key)
}

func replicas() (a, b *revoke.List, store *outage) {
	store = &outage{Store: mem.New(mem.Config{})}
	s := format.Store{Records: store, Ages: format.DefaultAges()}
	return revoke.New(s), revoke.New(s), store
}

// TestRevoke: what was given before is refused at the replica that revoked at once, and at the others after MaxAge; what is given later is good.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, store := replicas()
		covers := func(l *revoke.List, user string, given time.Time) bool {
			t.Helper()
			covered, err := l.Covers(t.Context(), user, given)
			if err != nil {
				t.Fatal(err)
			}
			return covered
		}
		given := store.Now()
		for _, l := range []*revoke.List{a, b} {
			if covers(l, "alice", given) || covers(l, "", given) {
				t.Fatal("nothing was revoked")
			}
		}
		time.Sleep(time.Minute)
		covers(b, "alice", given) // it is known there, for a while
		since, err := a.Revoke(t.Context(), "alice", "root")
		if err != nil || !since.Equal(store.Now().UTC().Truncate(time.Millisecond)) {
			t.Fatalf("%s, %v", since, err)
		}
		if !covers(a, "alice", given) || covers(a, "bob", given) {
			t.Error("at the replica that revoked")
		}
		time.Sleep(fresh.MaxAge + time.Millisecond)
		if !covers(b, "alice", given) || covers(b, "bob", given) {
			t.Error("at the other")
		}
		if !covers(b, "alice", since.Add(revoke.Slack)) || covers(b, "alice", since.Add(revoke.Slack+time.Millisecond)) {
			t.Error("at the borders")
		}
		time.Sleep(time.Minute)
		later := store.Now()
		if covers(a, "alice", later) || covers(b, "alice", later) {
			t.Error("what is given later")
		}
		if _, err := b.Revoke(t.Context(), "alice", ""); err != nil {
			t.Fatal(err)
		}
		if !covers(b, "alice", later) {
			t.Error("revoked again")
		}
		synctest.Wait()
	})
}

// TestAStoreThatIsGone: after MaxAge nothing is known, and nothing is good.
func TestAStoreThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, store := replicas()
		if _, err := a.Covers(t.Context(), "alice", store.Now()); err != nil {
			t.Fatal(err)
		}
		store.gone.Store(true)
		time.Sleep(fresh.MaxAge + time.Millisecond)
		if _, err := a.Covers(t.Context(), "alice", store.Now()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if _, err := a.Revoke(t.Context(), "alice", ""); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
	})
}

// TestRevokeAtOnce: of many that revoke at once each is told a time that is not before its call.
func TestRevokeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, store := replicas()
		var all sync.WaitGroup
		began := store.Now().UTC().Truncate(time.Millisecond)
		for _, l := range []*revoke.List{a, b, a, b, a, b} {
			all.Go(func() {
				if since, err := l.Revoke(t.Context(), "alice", ""); err != nil || since.Before(began) {
					t.Errorf("%s, %v", since, err)
				}
			})
		}
		all.Wait()
	})
}

// TestNames: any name has a record of its own, and a name that is none is refused.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, store := replicas()
		given := store.Now()
		names := []string{"alice", "Alice", "alice/", "../alice", "a\x00b", "ü", "https://issuer/x y", strings.Repeat("n", 1024)}
		for i, name := range names {
			for _, other := range names[i:] {
				if covered, err := a.Covers(t.Context(), other, given); covered || err != nil {
					t.Errorf("%q before it was revoked: %t, %v", other, covered, err)
				}
			}
			if _, err := a.Revoke(t.Context(), name, ""); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, name := range []string{"", strings.Repeat("n", 1025)} {
			if _, err := a.Revoke(t.Context(), name, ""); !errors.Is(err, revoke.ErrUser) {
				t.Errorf("%d bytes: %v", len(name), err)
			}
		}
		synctest.Wait()
	})
}
