package quota_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/quota"
	"holdfast/internal/record"
)

// slowRead is a store whose next read of a key is answered late.
type slowRead struct {
	record.Store
	key  record.Key
	next atomic.Int64 // a time.Duration
}

func (s *slowRead) Get(ctx context.Context, key record.Key) (record.Record, error) {
	r, err := s.Store.Get(ctx, key)
	if key == s.key {
		time.Sleep(time.Duration(s.next.Swap(0)))
	}
	return r, err
}

// TestSameAtOnce: two replicas push the same blob, and then a manifest of it to a repository that was there before, at once, and there is room for
// one: there is one, and both are told that it is there.
func TestSameAtOnce(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 60*kib)
	d := digest.FromBytes(body)
	for _, key := range []record.Key{format.LinkKey("a", d), format.RepositoryKey("a")} {
		synctest.Test(t, func(t *testing.T) {
			s, limits := inMemory(t), []quota.Limit{{Bytes: 100 * kib}, {Repositories: 1}}
			one := s.replica(true, limits...)
			slow := &slowRead{Store: s.records, key: key}
			s.records = slow
			two := s.replica(true, limits...)
			time.Sleep(time.Minute)
			values := s.values()
			for _, write := range []func() error{ // both were there once
				func() error {
					_, err := format.Write(t.Context(), values, format.LinkKey("a", d), format.Stored[format.Link]{}, format.Killed(format.Link{}), nil, false)
					return err
				},
				func() error {
					_, err := format.Write(t.Context(), values, format.RepositoryKey("a"), format.Stored[format.Marker]{}, format.Killed(format.Marker{}), nil, false)
					return err
				},
			} {
				if err := write(); err != nil {
					t.Fatal(err)
				}
			}
			pushBoth := func(r *replica) error {
				if err := r.PushBlob(t.Context(), "a", d, bytes.NewReader(body), int64(len(body))); err != nil {
					return err
				}
				_, _, err := manifest(t.Context(), r, "a", "v1", len(body), d)
				return err
			}
			slow.next.Store(int64(10 * time.Second)) // by then the other has pushed, and it is known
			second := make(chan error)
			go func() { second <- pushBoth(two) }()
			time.Sleep(time.Second)
			if err := pushBoth(one); err != nil {
				t.Errorf("the first: %v", err)
			}
			if err := <-second; err != nil {
				t.Errorf("the second, which looked at %s before: %v", key, err)
			}
			if got := s.counted(""); got.Bytes > 100*kib || got.Repositories != 1 {
				t.Errorf("%+v are held", got)
			}
		})
	}
}
