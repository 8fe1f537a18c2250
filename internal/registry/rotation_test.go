package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// secretReads counts reads of the cluster's secret, and fails them while it is told to.
type secretReads struct {
	record.Store
	mu   sync.Mutex
	n    int
	gone bool
}

func (s *secretReads) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if key == format.KeySecret {
		s.mu.Lock()
		s.n++
		gone := s.gone
		s.mu.Unlock()
		if gone {
			return record.Record{}, record.ErrUnavailable
		}
	}
	return s.Store.Get(ctx, key)
}

func (s *secretReads) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *secretReads) fail(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = gone
}

// two replicas of one cluster, each with its own memory.
func two(t *testing.T) (a, b *registry.Local, reads *secretReads) {
	t.Helper()
	records, segments := recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{})
	reads = &secretReads{Store: records}
	open := func(records record.Store, segments data.Store) *registry.Local {
		l, err := registry.New(t.Context(), records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	return open(records, segments), open(reads, segments), reads
}

// TestUploadAcrossARotation: an upload goes on while the secret is replaced, from a replica that knows the new one to one that does not, and back.
func TestUploadAcrossARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := two(t)
		ctx, repo := t.Context(), oci.Repository("acme/app")
		parts := []string{"begun under the old secret, ", "gone on with under the new one, ", "and ended"}
		begun, err := a.StartUpload(ctx, repo, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.AppendUpload(ctx, repo, begun.ID, registry.Chunk{Start: -1, Size: int64(len(parts[0])), Body: strings.NewReader(parts[0])})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.RotateSecret(ctx, false); err != nil {
			t.Fatal(err)
		}
		// a signs under the new secret, of which b has not heard; b signs under the old one.
		u, err = a.AppendUpload(ctx, repo, u.ID, registry.Chunk{Start: u.Offset, Size: int64(len(parts[1])), Body: strings.NewReader(parts[1])})
		if err != nil {
			t.Fatalf("an old id at the replica that rotated: %v", err)
		}
		if u, err = b.UploadStatus(ctx, repo, u.ID); err != nil {
			t.Fatalf("a new id at the other replica: %v", err)
		}
		whole := strings.Join(parts, "")
		if err := a.CommitUpload(ctx, repo, u.ID, digest.FromString(whole), registry.Chunk{Start: u.Offset, Size: int64(len(parts[2])), Body: strings.NewReader(parts[2])}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOldSecretEnds: what the old secret signed is good for a day after the rotation, and no longer; a revoked one at once.
func TestOldSecretEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := two(t)
		good := func(l *registry.Local, mac []byte) bool {
			t.Helper()
			ok, err := l.Verify(t.Context(), mac, "test", []byte("field"))
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		first := a.MAC("test", []byte("field"))
		rotated, err := a.RotateSecret(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		second := a.MAC("test", []byte("field"))
		if bytes.Equal(first, second) {
			t.Fatal("the new secret signs as the old one")
		}
		if !rotated.OldUntil.Equal(rotated.Rotated.Add(24 * time.Hour)) {
			t.Errorf("the old one is good until %s, rotated at %s", rotated.OldUntil, rotated.Rotated)
		}
		time.Sleep(12 * time.Hour)
		if _, err := b.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		third := b.MAC("test", []byte("field"))
		time.Sleep(12*time.Hour - time.Minute)
		for _, l := range []*registry.Local{a, b} {
			for i, mac := range [][]byte{first, second, third} {
				if !good(l, mac) {
					t.Errorf("before the day is over secret %d is not good", i+1)
				}
			}
		}
		time.Sleep(2 * time.Minute)
		for _, l := range []*registry.Local{a, b} {
			if good(l, first) || !good(l, second) || !good(l, third) {
				t.Errorf("a day later: %t %t %t", good(l, first), good(l, second), good(l, third))
			}
		}
		if _, err := a.RotateSecret(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if err := b.RefreshSecret(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*registry.Local{a, b} {
			if good(l, second) || good(l, third) {
				t.Error("a revoked secret is good")
			}
		}
		for range 8 {
			if _, err := a.RotateSecret(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.RotateSecret(t.Context(), false); err == nil {
			t.Error("nine earlier secrets are kept")
		}
	})
}

// TestForgedSignaturesAreBounded: whoever sends what nobody signed has the secret read once a second, all of them together.
func TestForgedSignaturesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, reads := two(t)
		before := reads.count()
		var all sync.WaitGroup
		began := time.Now()
		for range 100 {
			all.Go(func() {
				for range 10 {
					ok, err := b.Verify(t.Context(), make([]byte, 32), "test")
					if ok || err != nil {
						t.Errorf("%t %v", ok, err)
					}
				}
			})
		}
		all.Wait()
		if n, most := reads.count()-before, int(time.Since(began)/time.Second)+1; n > most || n < 2 {
			t.Errorf("%d reads in %s", n, time.Since(began))
		}
		before = reads.count()
		if ok, err := b.Verify(t.Context(), b.MAC("test"), "test"); !ok || err != nil || reads.count() != before {
			t.Errorf("what is good: %t %v, %d reads", ok, err, reads.count()-before)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := b.Verify(ctx, make([]byte, 32), "test"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that does not wait gets %v", err)
		}
	})
}

// TestUnreadableSecretIsNoAnswer: while the secret cannot be read an upload is not unknown, and what is known goes on.
func TestUnreadableSecretIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, reads := two(t)
		old, err := b.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		u, err := a.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		reads.fail(true)
		if _, err := b.UploadStatus(t.Context(), "a", u.ID); !errors.Is(err, record.ErrUnavailable) || errors.Is(err, oci.ErrBlobUploadUnknown) {
			t.Errorf("it says %v", err)
		}
		if _, err := b.UploadStatus(t.Context(), "a", old.ID); err != nil {
			t.Errorf("one that it knows: %v", err)
		}
		reads.fail(false)
		if _, err := b.UploadStatus(t.Context(), "a", u.ID); err != nil {
			t.Error(err)
		}
	})
}

// TestUnreadableSecretIsNoAnswerForMany: who shares another's read of the secret shares its error, and not what a client does that leaves.
func TestUnreadableSecretIsNoAnswerForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, reads := two(t)
		if _, err := a.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		mac := a.MAC("test")
		verify := func(ctx context.Context) error {
			good, err := b.Verify(ctx, mac, "test")
			if err == nil && !good {
				t.Error("what another replica signed is taken for a forgery")
			}
			return err
		}
		all := func() (errs []error) {
			errs = make([]error, 8)
			var ended sync.WaitGroup
			for i := range errs {
				ended.Go(func() { errs[i] = verify(t.Context()) })
			}
			ended.Wait()
			return errs
		}
		if _, err := b.Verify(t.Context(), make([]byte, 32), "other"); err != nil { // so that all that come now wait for a second
			t.Fatal(err)
		}
		if _, err := a.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		mac = a.MAC("test")
		reads.fail(true)
		for _, err := range all() {
			if !errors.Is(err, record.ErrUnavailable) {
				t.Errorf("while the store is out of reach: %v", err)
			}
		}
		reads.fail(false)
		for _, err := range all() {
			if err != nil {
				t.Errorf("once it is back: %v", err)
			}
		}
	})
}

// TestKeys: whoever signs under Keys is understood by every replica, before and after a rotation, for a day; and no more once it was revoked.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, reads := two(t)
		has := func(l *registry.Local, key []byte) bool {
			return slices.ContainsFunc(l.Keys("test"), func(k []byte) bool { return bytes.Equal(k, key) })
		}
		first := a.Keys("test")[0]
		if !bytes.Equal(first, a.MAC("test")) || !has(b, first) || bytes.Equal(first, a.Keys("other")[0]) || len(first) != 32 {
			t.Fatal("replicas have other keys, or domains the same")
		}
		if _, err := a.RotateSecret(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		second := a.Keys("test")[0]
		if bytes.Equal(first, second) || !has(a, first) || has(b, second) {
			t.Fatal("what a rotation does")
		}
		before := reads.count()
		if err := b.RereadSecret(t.Context()); err != nil || !has(b, second) || !has(b, first) || reads.count() != before+1 {
			t.Fatalf("after it was read anew: %v", err)
		}
		reads.fail(true)
		if err := b.RereadSecret(t.Context()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("a store that does not answer: %v", err)
		}
		reads.fail(false)
		time.Sleep(25 * time.Hour)
		if has(a, first) || has(b, first) || !has(b, second) {
			t.Error("a day later")
		}
		if _, err := a.RotateSecret(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if has(a, second) {
			t.Error("a revoked secret is good")
		}
	})
}
