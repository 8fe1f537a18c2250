package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

var errNo = errors.New("not allowed")

// onlyNew allows to set a tag that names nothing, or the same.
func onlyNew(_ oci.Tag, was, d oci.Digest) error {
	if was != "" && was != d {
		return errNo
	}
	return nil
}

func (s *stores) pushIf(l *registry.Local, name string, allow func(oci.Tag, oci.Digest, oci.Digest) error, tags ...oci.Tag) error {
	s.t.Helper()
	s.push(l, repo, "config of "+name)
	_, err := l.PushManifest(s.t.Context(), repo, registry.Push{Body: imageOf(name), Tags: tags, Allow: allow})
	return err
}

func TestPushIf(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	for _, step := range []struct {
		name string
		tags []oci.Tag
		want error
	}{
		{"one", []oci.Tag{"a"}, nil},
		{"one", []oci.Tag{"a"}, nil},
		{"two", []oci.Tag{"a"}, errNo},
		{"two", []oci.Tag{"b", "a", "c"}, errNo},
		{"one", []oci.Tag{"d", "a"}, nil},
	} {
		if err := s.pushIf(l, step.name, onlyNew, step.tags...); !errors.Is(err, step.want) {
			t.Errorf("push %s to %s: %v, want %v", step.name, step.tags, err, step.want)
		}
	}
	s.wantTag(l, "a", "one")
	s.wantTag(l, "b", "") // none of a push that is refused is set
	s.wantTag(l, "c", "")
	s.wantTag(l, "d", "one")
	if _, err := l.Resolve(t.Context(), repo, oci.Reference{Digest: digestOf("two")}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("the manifest that was refused: %v", err)
	}
	if err := l.DeleteTag(t.Context(), repo, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.pushIf(l, "two", onlyNew, "a"); err != nil {
		t.Errorf("to a tag that was deleted: %v", err)
	}
}

// Another replica sets the tag after it was seen to be absent.
func TestPushIfOvertaken(t *testing.T) {
	s := newStores(t)
	l, other := s.replica(), s.replica()
	asked := 0
	err := s.pushIf(l, "one", func(tag oci.Tag, was, d oci.Digest) error {
		if asked++; asked == 1 {
			s.set(other, "", "a", "two")
		}
		return onlyNew(tag, was, d)
	}, "a")
	if !errors.Is(err, errNo) {
		t.Errorf("the push that came second: %v", err)
	}
	s.wantTag(l, "a", "two")
}

func TestPushIfByMany(t *testing.T) {
	for round := range 20 {
		s := newStores(t)
		const pushers = 12
		replicas := make([]*registry.Local, 3)
		for i := range replicas {
			replicas[i] = s.replica()
		}
		var won atomic.Int64
		var winner atomic.Value
		var g sync.WaitGroup
		for i := range pushers {
			name := fmt.Sprint("image ", i)
			s.push(replicas[0], repo, "config of "+name)
			g.Go(func() {
				_, err := replicas[i%3].PushManifest(t.Context(), repo, registry.Push{Body: imageOf(name), Tags: []oci.Tag{"t"}, Allow: onlyNew})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(name)
				case !errors.Is(err, errNo):
					t.Errorf("push: %v", err)
				}
			})
		}
		g.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d pushes were acknowledged, want 1", round, won.Load())
		}
		s.wantTag(replicas[1], "t", winner.Load().(string))
	}
}

func TestDeleteIf(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	s.set(l, "", "b", "one")
	s.set(l, "", "a", "one")
	s.set(l, "", "moved", "one")
	s.set(l, "", "moved", "two")
	var told []oci.Tag
	err := l.DeleteManifestIf(t.Context(), repo, digestOf("one"), func(tags []oci.Tag) error {
		told = slices.Clone(tags)
		return errNo
	})
	if !errors.Is(err, errNo) || !slices.Equal(told, []oci.Tag{"a", "b"}) {
		t.Errorf("%v, told %q", err, told)
	}
	s.wantTag(l, "a", "one")
	allow := func([]oci.Tag) error { return nil }
	if err := l.DeleteManifestIf(t.Context(), repo, digestOf("one"), allow); err != nil {
		t.Fatal(err)
	}
	s.wantTag(l, "a", "")
	s.wantTag(l, "b", "")
	s.wantTag(l, "moved", "two")
	if err := l.DeleteManifestIf(t.Context(), repo, digestOf("one"), allow); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("again: %v", err)
	}
}

// Another replica sets a tag after the first look at the tags, and after the second.
func TestDeleteIfOvertaken(t *testing.T) {
	for overtaken := 1; overtaken <= 2; overtaken++ {
		s := newStores(t)
		l, other := s.replica(), s.replica()
		s.set(l, "", "free", "one")
		asked := 0
		err := l.DeleteManifestIf(t.Context(), repo, digestOf("one"), func(tags []oci.Tag) error {
			asked++
			bad := slices.Contains(tags, "kept")
			if asked == overtaken {
				if err := s.pushIf(other, "one", onlyNew, "kept"); err != nil {
					t.Fatalf("push: %v", err)
				}
			}
			if bad {
				return errNo
			}
			return nil
		})
		if !errors.Is(err, errNo) {
			t.Errorf("overtaken after look %d: %v, want that it is refused", overtaken, err)
		}
		s.wantTag(l, "kept", "one")
		s.wantTag(l, "free", "one")
		m, err := format.Read[format.Manifest](t.Context(), format.Store{Records: s.records, Ages: format.DefaultAges()}, format.ManifestKey(repo, digestOf("one")))
		if err != nil || !m.Is(format.Live) {
			t.Errorf("the manifest is %v, %v", m.State, err)
		}
	}
}

// A push with a condition does not say that a tag is set which a delete has taken away since.
func TestPushIfAfterWhichAllIsDeleted(t *testing.T) {
	s := newStores(t)
	other := s.replica()
	s.set(other, "", "old", "one")
	deleted := false
	l := s.open(after{s.records, func(key record.Key) {
		if key == format.TagKey(repo, "new") && !deleted {
			deleted = true
			if err := other.DeleteManifest(t.Context(), repo, digestOf("one")); err != nil {
				t.Error(err)
			}
		}
	}}, s.segments)
	if err := s.pushIf(l, "one", onlyNew, "new"); !errors.Is(err, oci.ErrUnavailable) || !errors.Is(err, registry.ErrDeleted) {
		t.Errorf("push: %v", err)
	}
	s.wantTag(l, "new", "")
}

// A push that is about to set a tag when a delete has looked at the tags: whoever reads the tag then must not see what the delete takes away.
func TestDeleteIfTakesNothingThatWasSeen(t *testing.T) {
	s := newStores(t)
	other := s.replica()
	s.set(other, "", "free", "one")
	arrived, goOn, tried, ended := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	writes := 0
	l := s.open(around{s.records, format.TagKey(repo, "kept"), func(put func()) {
		if writes++; writes > 1 {
			put()
			return
		}
		close(arrived)
		<-goOn
		put()
		close(tried)
		<-ended
	}}, s.segments)
	pushed := make(chan error)
	go func() { pushed <- s.pushIf(l, "one", onlyNew, "kept") }()
	<-arrived
	asked, seen := 0, false
	deleted := other.DeleteManifestIf(t.Context(), repo, digestOf("one"), func(tags []oci.Tag) error {
		if asked++; asked == 2 {
			close(goOn)
			<-tried
			_, err := other.Resolve(t.Context(), repo, oci.Reference{Tag: "kept"})
			seen = err == nil
		}
		if slices.Contains(tags, "kept") {
			return errNo
		}
		return nil
	})
	close(ended)
	pushErr := <-pushed
	_, err := other.Resolve(t.Context(), repo, oci.Reference{Tag: "kept"})
	there := err == nil
	switch {
	case asked < 2:
		t.Fatalf("the delete did not look twice: %v", deleted)
	case (seen || pushErr == nil) && !there:
		t.Errorf("the tag was seen: %v, its push answered %v, and it is gone after a delete that answered %v", seen, pushErr, deleted)
	case deleted == nil && there:
		t.Error("the manifest was deleted, and the tag is there")
	}
}

// around is a store that has something done around the writes of a key.
type around struct {
	record.Store
	key record.Key
	do  func(put func())
}

func (a around) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (stamp record.Stamp, err error) {
	if key != a.key {
		return a.Store.Put(ctx, key, value, cond)
	}
	a.do(func() { stamp, err = a.Store.Put(ctx, key, value, cond) })
	return stamp, err
}

// after is a store that tells of every write once it was done.
type after struct {
	record.Store
	done func(key record.Key)
}

func (a after) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := a.Store.Put(ctx, key, value, cond)
	if err == nil {
		a.done(key)
	}
	return stamp, err
}

// Another delete kills the manifest meanwhile, and dies before its last steps: they are done before this one is answered.
func TestDeleteIfAfterOneThatDied(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	config := s.push(l, repo, "config of a referrer")
	subject := digestOf("one")
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},"layers":[],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":1}}`,
		config, len("config of a referrer"), subject)
	pushed, err := l.PushManifest(t.Context(), repo, registry.Push{Body: body, Tags: []oci.Tag{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	values, key := format.Store{Records: s.records, Ages: format.DefaultAges()}, format.ManifestKey(repo, pushed.Digest)
	asked := 0
	if err := l.DeleteManifestIf(t.Context(), repo, pushed.Digest, func([]oci.Tag) error {
		if asked++; asked == 2 {
			m, err := format.Read[format.Manifest](t.Context(), values, key)
			if err != nil {
				t.Fatal(err)
			}
			head := format.Killed(m.Head)
			head.Subject = subject
			if _, err := format.Write(t.Context(), values, key, m, head, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if asked < 2 {
		t.Fatal("it did not look twice: the test shows nothing")
	}
	s.wantTag(l, "t", "")
	list, err := format.Read[format.Referrers](t.Context(), values, format.ReferrersKey(repo, subject))
	if err != nil || len(list.Head.List) != 0 {
		t.Errorf("the subject still has %+v, %v", list.Head.List, err)
	}
}
