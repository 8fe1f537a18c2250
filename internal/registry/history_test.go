package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

const repo = oci.Repository("a")

// imageOf is a manifest that is named by its config.
func imageOf(name string) []byte {
	config := "config of " + name
	return fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[]}`, digest.FromString(config), len(config))
}

func digestOf(name string) oci.Digest { return digest.FromBytes(imageOf(name)) }

func by(t *testing.T, who string) context.Context { return registry.WithCaller(t.Context(), who) }

// set pushes an image of that name, and its config, to a tag.
func (s *stores) set(l *registry.Local, who string, tag oci.Tag, name string) {
	s.t.Helper()
	s.push(l, repo, "config of "+name)
	if _, err := l.PushManifest(by(s.t, who), repo, registry.Push{Body: imageOf(name), Tags: []oci.Tag{tag}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stores) wantTag(l *registry.Local, tag oci.Tag, name string) {
	s.t.Helper()
	got, err := l.Resolve(s.t.Context(), repo, oci.Reference{Tag: tag})
	switch {
	case name == "" && !errors.Is(err, oci.ErrManifestUnknown):
		s.t.Errorf("the tag %s: %v, want MANIFEST_UNKNOWN", tag, err)
	case name != "" && (err != nil || got.Digest != digestOf(name)):
		s.t.Errorf("the tag %s: %v, %v, want the image %s", tag, got, err, name)
	}
}

// tell writes a history in lines: digests by the names of their images, times in minutes since begin.
func tell(h *registry.TagHistory, begin time.Time, names ...string) []string {
	short := func(d oci.Digest) string {
		for _, n := range names {
			if digestOf(n) == d {
				return n
			}
		}
		return string(d)
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return "?"
		}
		return fmt.Sprint(int(t.Sub(begin).Round(time.Minute) / time.Minute))
	}
	first := "deleted"
	if h.Digest != "" {
		first = short(h.Digest)
	}
	lines := []string{fmt.Sprintf("%s since %s by %s", first, at(h.Since), h.By)}
	for _, n := range h.Before {
		line := fmt.Sprintf("%s %s-%s by %s", short(n.Digest), at(n.Since), at(n.Until), n.By)
		if n.Deleted {
			line += ", deleted by " + n.DeletedBy
		}
		if n.Present {
			line += ", kept until " + at(n.KeptUntil)
		}
		lines = append(lines, line)
	}
	return lines
}

type teller func(context.Context, oci.Repository, oci.Tag) (*registry.TagHistory, error)

func wantHistory(t *testing.T, history teller, begin time.Time, want ...string) {
	t.Helper()
	h, err := history(t.Context(), repo, "t")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, tell(h, begin, "0", "1", "2", "3")); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
}

// TestHistory: pushes, moves, deletes and pushes of the same again, told as they were.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, begin := s.replica(), time.Now()
		history := func(want ...string) { t.Helper(); wantHistory(t, s.replica().History, begin, want...) }
		if _, err := l.History(t.Context(), repo, "t"); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Errorf("of a tag that never was: %v", err)
		}
		s.set(l, "alice", "t", "0")
		history("0 since 0 by alice")
		time.Sleep(10 * time.Minute)
		s.set(l, "bob", "t", "1")
		history("1 since 10 by bob", "0 0-10 by alice, kept until 1450")
		time.Sleep(10 * time.Minute)
		if err := l.DeleteTag(by(t, "carol"), repo, "t"); err != nil {
			t.Fatal(err)
		}
		history("deleted since 20 by carol", "1 10-20 by bob, deleted by carol, kept until 1460", "0 0-10 by alice, kept until 1450")
		time.Sleep(10 * time.Minute)
		s.set(l, "dave", "t", "2")
		history("2 since 30 by dave", "1 10-20 by bob, deleted by carol, kept until 1470", "0 0-10 by alice, kept until 1450")
		time.Sleep(10 * time.Minute)
		s.set(l, "dave", "t", "2")
		history("2 since 40 by dave", "1 10-20 by bob, deleted by carol, kept until 1480", "0 0-10 by alice, kept until 1450")
		time.Sleep(10 * time.Minute)
		s.set(l, "erin", "t", "1")
		history("1 since 50 by erin", "2 40-50 by dave, kept until 1490", "1 10-20 by bob, deleted by carol, kept until 1480", "0 0-10 by alice, kept until 1450")
		time.Sleep(10 * time.Minute)
		if err := l.DeleteManifest(by(t, "fred"), repo, digestOf("1")); err != nil {
			t.Fatal(err)
		}
		// A tombstone names a digest once: there is no room for more.
		history("deleted since 60 by fred", "1 50-60 by erin, deleted by fred", "2 40-50 by dave, kept until 1490", "0 0-40 by alice, kept until 1480")
	})
}

// TestHistoryOfManyMoves: a tag tells of its newest moves, the markers of the others, and of those also when the tombstone is gone.
func TestHistoryOfManyMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, begin := s.replica(), time.Now()
		for i := range format.KeptPrevious + 3 {
			s.set(l, "alice", "t", fmt.Sprint(i))
			s.set(l, "alice", "u", "other")
			time.Sleep(time.Minute)
		}
		short, err := l.History(t.Context(), repo, "t")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(short.Before); n != format.KeptPrevious {
			t.Errorf("%d moves are told, want %d", n, format.KeptPrevious)
		}
		long, err := l.FullHistory(t.Context(), repo, "t")
		if err != nil {
			t.Fatal(err)
		}
		lines := tell(long, begin, "0", "1", "2", "3")
		if diff := cmp.Diff([]string{"2 2-3 by alice, kept until 1443", "1 1-? by , kept until ?", "0 0-? by , kept until ?"}, lines[len(lines)-3:]); diff != "" || len(lines) != format.KeptPrevious+3 {
			t.Errorf("the full history has %d lines, the last (-want +got):\n%s", len(lines), diff)
		}
		if err := l.Restore(t.Context(), repo, "t", digestOf("0")); err != nil {
			t.Errorf("what only a marker tells of is not restored: %v", err)
		}
		if err := l.DeleteTag(t.Context(), repo, "t"); err != nil {
			t.Fatal(err)
		}
		key := format.TagKey(repo, "t")
		rec, err := s.records.Get(t.Context(), key)
		if err == nil {
			err = s.records.Delete(t.Context(), key, record.IfVersion(rec.Version)) // as the collector does a day later
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.History(t.Context(), repo, "t"); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Errorf("of a tag without a value: %v", err)
		}
		if long, err = l.FullHistory(t.Context(), repo, "t"); err != nil || len(long.Before) != format.KeptPrevious+3 || long.Digest != "" {
			t.Errorf("of a tag without a value, by its markers: %+v, %v", long, err)
		}
	})
}

// counted counts the requests to a store.
type counted struct {
	record.Store
	n *atomic.Int64
}

func (c counted) Get(ctx context.Context, key record.Key) (record.Record, error) {
	c.n.Add(1)
	return c.Store.Get(ctx, key)
}

func (c counted) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	c.n.Add(1)
	return c.Store.Put(ctx, key, value, cond)
}

// TestHistoryIsCheap: one request for the tag, and one for each digest.
func TestHistoryIsCheap(t *testing.T) {
	s := newStores(t)
	for _, name := range []string{"0", "1", "0", "1", "2"} {
		s.set(s.replica(), "", "t", name)
	}
	var n atomic.Int64
	l := s.open(counted{s.records, &n}, s.segments)
	n.Store(0)
	if _, err := l.History(t.Context(), repo, "t"); err != nil || n.Load() != 3 {
		t.Errorf("%d requests, want 3: %v", n.Load(), err)
	}
}

// TestRestoreIsCheap: it costs what a push of a manifest costs that is there.
func TestRestoreIsCheap(t *testing.T) {
	s := newStores(t)
	s.set(s.replica(), "", "t", "0")
	s.set(s.replica(), "", "t", "1")
	cost := func(do func(*registry.Local) error) int64 {
		t.Helper()
		var n atomic.Int64
		l := s.open(counted{s.records, &n}, s.segments)
		n.Store(0)
		if err := do(l); err != nil {
			t.Fatal(err)
		}
		return n.Load()
	}
	restore := cost(func(l *registry.Local) error { return l.Restore(t.Context(), repo, "t", digestOf("0")) })
	push := cost(func(l *registry.Local) error {
		_, err := l.PushManifest(t.Context(), repo, registry.Push{Body: imageOf("1"), Tags: []oci.Tag{"t"}})
		return err
	})
	if restore != push {
		t.Errorf("a restore takes %d requests, a push of what is there %d", restore, push)
	}
}

// TestHistoryOfAStoreThatIsGone: a manifest that cannot be looked at is not one that is gone.
func TestHistoryOfAStoreThatIsGone(t *testing.T) {
	s := newStores(t)
	s.set(s.replica(), "", "t", "0")
	s.set(s.replica(), "", "t", "1")
	for n := range int64(2) {
		f := failing{Store: s.records, left: new(atomic.Int64)}
		f.left.Store(1 << 40)
		l := s.open(f, s.segments)
		f.left.Store(n)
		if h, err := l.History(t.Context(), repo, "t"); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("from request %d: %+v, %v", n, h, err)
		}
		f.left.Store(n)
		if err := l.Restore(t.Context(), repo, "t", ""); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("from request %d, a restore: %v", n, err)
		}
	}
}

// TestHistoryOfAVeryLongName: who deletes a tag is told, cut, and the tag is deleted whatever the name.
func TestHistoryOfAVeryLongName(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	who := strings.Repeat("<\x00ü", 100)
	s.set(l, who, "t", "0")
	s.set(l, who, "t", "1")
	if err := l.DeleteTag(by(t, who), repo, "t"); err != nil {
		t.Fatal(err)
	}
	h, err := l.History(t.Context(), repo, "t")
	if err != nil || len(h.Before) != 2 || h.By == "" || !strings.HasPrefix(who, strings.TrimSuffix(h.By, "…")) {
		t.Errorf("%+v, %v", h, err)
	}
}
