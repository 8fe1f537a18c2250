package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// TestRestore: after an overwrite, a delete, and both; by digest and without; and back and forth.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStores(t)
		l, begin := s.replica(), time.Now()
		restore := func(d oci.Digest, want string) {
			t.Helper()
			time.Sleep(time.Minute)
			if err := s.replica().Restore(by(t, "rita"), repo, "t", d); err != nil {
				t.Fatal(err)
			}
			s.wantTag(l, "t", want)
		}
		remove := func() {
			t.Helper()
			time.Sleep(time.Minute)
			if err := l.DeleteTag(by(t, "dave"), repo, "t"); err != nil {
				t.Fatal(err)
			}
		}
		s.set(l, "alice", "t", "0")
		time.Sleep(time.Minute)
		s.set(l, "alice", "t", "1")
		restore("", "0")
		restore("", "1")
		remove()
		restore("", "1")
		restore("", "1") // as when the answer to the first was lost
		restore(digestOf("0"), "0")
		restore(digestOf("0"), "0")
		remove()
		restore(digestOf("1"), "1")
		wantHistory(t, l.History, begin, "1 since 10 by rita", "0 8-9 by rita, deleted by dave, kept until 1450", "1 6-8 by rita, kept until 1448")
		if err := l.Restore(t.Context(), repo, "t", digestOf("2")); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Errorf("a digest that the tag never named: %v", err)
		}
		s.set(l, "", "u", "2")
		if err := l.Restore(t.Context(), repo, "t", digestOf("2")); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Errorf("a digest that another tag names: %v", err)
		}
		for tag, d := range map[oci.Tag]oci.Digest{"u": "", "v": "", "w": digestOf("0")} {
			if err := l.Restore(t.Context(), repo, tag, d); !errors.Is(err, oci.ErrManifestUnknown) {
				t.Errorf("%s, which named nothing before: %v", tag, err)
			}
		}
		s.wantTag(l, "t", "1")
	})
}

// TestRestoreOfWhatIsGone: a manifest that was deleted does not come back, and a blob that is gone is named.
func TestRestoreOfWhatIsGone(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	s.set(l, "", "t", "0")
	s.set(l, "", "t", "1")
	if err := l.DeleteManifest(t.Context(), repo, digestOf("1")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []oci.Digest{"", digestOf("1")} {
		err := l.Restore(t.Context(), repo, "t", d)
		if !errors.Is(err, oci.ErrManifestUnknown) || !strings.Contains(err.Error(), "deleted, or collected") {
			t.Errorf("a manifest that was deleted: %v", err)
		}
	}
	s.wantTag(l, "t", "")
	if err := l.Restore(t.Context(), repo, "t", digestOf("0")); err != nil {
		t.Errorf("what the tag named before that: %v", err)
	}
	s.wantTag(l, "t", "0")

	// An index stays when its manifest is deleted: it is there, and cannot be restored.
	child := imageOf("0")
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, digestOf("0"), len(child))
	if _, err := l.PushManifest(t.Context(), repo, registry.Push{Body: index, Tags: []oci.Tag{"i"}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.DeleteTag(t.Context(), repo, "i"), l.DeleteManifest(t.Context(), repo, digestOf("0"))); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(t.Context(), repo, "i", ""); !errors.Is(err, oci.ErrManifestBlobUnknown) || !strings.Contains(err.Error(), "manifests[0]") {
		t.Errorf("an index whose manifest is gone: %v", err)
	}
	s.wantTag(l, "i", "")
}

// before is a store that does something else before the first write of a key.
type before struct {
	record.Store
	key  record.Key
	once *sync.Once
	do   func()
}

func (b before) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if key == b.key {
		b.once.Do(b.do)
	}
	return b.Store.Put(ctx, key, value, cond)
}

// TestRestoreThatAnotherOvertakes: whatever happens to the tag between the look and the write is seen, told and left as it is.
func TestRestoreThatAnotherOvertakes(t *testing.T) {
	for name, row := range map[string]struct {
		deleted bool // the tag, when the restore begins
		do      func(*stores, *registry.Local) error
		tag     string
		check   func(error) bool
	}{
		"push": {do: func(s *stores, l *registry.Local) error { s.set(l, "bob", "t", "2"); return nil }, tag: "2", check: movedTo("2", "bob")},
		"push over a deleted tag": {deleted: true, do: func(s *stores, l *registry.Local) error { s.set(l, "bob", "t", "2"); return nil },
			tag: "2", check: movedTo("2", "bob")},
		"push of the same over a deleted tag": {deleted: true, do: func(s *stores, l *registry.Local) error { s.set(l, "bob", "t", "0"); return nil },
			tag: "0", check: movedTo("0", "bob")},
		"delete of the tag": {do: func(s *stores, l *registry.Local) error { return l.DeleteTag(by(s.t, "bob"), repo, "t") }, check: movedTo("", "bob")},
		"there and back": {do: func(s *stores, l *registry.Local) error {
			s.set(l, "bob", "t", "2")
			time.Sleep(time.Minute)
			s.set(l, "eve", "t", "1")
			return nil
		}, tag: "1", check: movedTo("1", "eve")},
		"delete of another manifest, which gives the tag a new version": {do: func(s *stores, l *registry.Local) error {
			return l.DeleteManifest(s.t.Context(), repo, digestOf("3"))
		}, tag: "0", check: func(err error) bool { return err == nil }},
		"the same, of a deleted tag": {deleted: true, do: func(s *stores, l *registry.Local) error {
			return l.DeleteManifest(s.t.Context(), repo, digestOf("3"))
		}, tag: "0", check: func(err error) bool { return err == nil }},
		"delete of what is restored": {do: func(s *stores, l *registry.Local) error {
			return l.DeleteManifest(s.t.Context(), repo, digestOf("0"))
		}, tag: "1", check: func(err error) bool { return errors.Is(err, oci.ErrManifestUnknown) }},
		"delete of what is restored, and a push of it": {do: func(s *stores, l *registry.Local) error {
			err := l.DeleteManifest(s.t.Context(), repo, digestOf("0"))
			s.set(l, "", "u", "0")
			return err
		}, tag: "1", check: func(err error) bool { return errors.Is(err, oci.ErrManifestUnknown) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStores(t)
				healthy := s.replica()
				for _, image := range []string{"3", "0", "1"} {
					s.set(healthy, "alice", "t", image)
					time.Sleep(time.Minute)
				}
				if row.deleted {
					if err := healthy.DeleteTag(t.Context(), repo, "t"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				l := s.open(before{s.records, format.TagKey(repo, "t"), new(sync.Once), func() {
					if err := row.do(s, healthy); err != nil {
						t.Error(err)
					}
				}}, s.segments)
				if err := l.Restore(t.Context(), repo, "t", digestOf("0")); !row.check(err) {
					t.Errorf("the restore: %v", err)
				}
				s.wantTag(healthy, "t", row.tag)
			})
		})
	}
}

func movedTo(name, who string) func(error) bool {
	return func(err error) bool {
		var moved *registry.MovedError
		var answer *oci.Error
		if !errors.As(err, &moved) || !errors.As(err, &answer) || moved.By != who || time.Since(moved.Since) > time.Second {
			return false
		}
		return name == "" && moved.Now == "" && strings.Contains(err.Error(), "deleted by "+who) || moved.Now == digestOf(name) && strings.Contains(err.Error(), string(moved.Now))
	}
}

// TestRestoreNeverWritesAManifest: one that is deleted after the restore has read it stays deleted.
func TestRestoreNeverWritesAManifest(t *testing.T) {
	s := newStores(t)
	healthy := s.replica()
	s.set(healthy, "", "t", "0")
	s.set(healthy, "", "t", "1")
	reads, key := 0, format.ManifestKey(repo, digestOf("0"))
	l := s.open(beforeGet{s.records, func(k record.Key) {
		if k != key {
			return
		}
		if reads++; reads == 2 {
			if err := healthy.DeleteManifest(t.Context(), repo, digestOf("0")); err != nil {
				t.Error(err)
			}
		}
	}}, s.segments)
	if err := l.Restore(t.Context(), repo, "t", ""); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("the restore: %v", err)
	}
	if reads < 2 {
		t.Fatal("the manifest was read once")
	}
	if _, err := healthy.Resolve(t.Context(), repo, oci.Reference{Digest: digestOf("0")}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("the manifest: %v", err)
	}
	s.wantTag(healthy, "t", "1")
}

type beforeGet struct {
	record.Store
	do func(record.Key)
}

func (b beforeGet) Get(ctx context.Context, key record.Key) (record.Record, error) {
	b.do(key)
	return b.Store.Get(ctx, key)
}

// tagWrites is a store that notes who wrote a tag, in the order of the writes.
type tagWrites struct {
	record.Store
	key record.Key
	mu  *sync.Mutex
	by  *[]string
}

func (w tagWrites) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if key != w.key {
		return w.Store.Put(ctx, key, value, cond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	stamp, err := w.Store.Put(ctx, key, value, cond)
	var head format.Tag
	if _, decodeErr := format.Decode(value, &head); err == nil && decodeErr == nil {
		*w.by = append(*w.by, head.By)
	}
	return stamp, err
}

// TestRestoresRacingWithPushes: a restore writes the tag once and answers well, or does not write it and says who has. Pushes all get through.
func TestRestoresRacingWithPushes(t *testing.T) {
	s := newStores(t)
	var written []string
	records := tagWrites{s.records, format.TagKey(repo, "t"), new(sync.Mutex), &written}
	l := s.open(records, s.segments)
	s.set(l, "first", "t", "0")
	const clients = 24
	outcomes := make([]error, clients)
	for i := range clients {
		s.push(l, repo, "config of "+fmt.Sprint("image ", i))
	}
	replicas := []*registry.Local{s.open(records, s.segments), s.open(records, s.segments), s.open(records, s.segments)}
	var wait sync.WaitGroup
	for i := range clients {
		r := replicas[i%len(replicas)]
		wait.Go(func() {
			ctx := by(t, fmt.Sprint("client ", i))
			if i%2 == 0 {
				_, outcomes[i] = r.PushManifest(ctx, repo, registry.Push{Body: imageOf(fmt.Sprint("image ", i)), Tags: []oci.Tag{"t"}})
			} else {
				outcomes[i] = r.Restore(ctx, repo, "t", digestOf("0"))
			}
		})
	}
	wait.Wait()
	writes := map[string]int{}
	for _, who := range written {
		writes[who]++
	}
	moved := 0
	for i, err := range outcomes {
		var m *registry.MovedError
		n := writes[fmt.Sprint("client ", i)]
		switch {
		case err == nil && n == 1:
		case i%2 == 1 && errors.As(err, &m) && n == 0 && m.By != "":
			moved++
		default:
			t.Errorf("client %d wrote the tag %d times and was told: %v", i, n, err)
		}
	}
	t.Logf("%d of %d restores were overtaken", moved, clients/2)
	h, err := l.History(t.Context(), repo, "t")
	if err != nil || h.By != written[len(written)-1] {
		t.Errorf("the tag is %+v, %v; the last who wrote it was %s", h, err, written[len(written)-1])
	}
}

// TestRestoreOfASha512: the digest that the tag names is the one that it named, whatever the algorithm.
func TestRestoreOfASha512(t *testing.T) {
	s := newStores(t)
	l := s.replica()
	s.push(l, repo, "config of 0")
	s.push(l, repo, "config of 1")
	for _, name := range []string{"0", "1"} {
		d := digest.SHA512.FromBytes(imageOf(name))
		if _, err := l.PushManifest(by(t, strings.Repeat("n", 128)), repo, registry.Push{Body: imageOf(name), Digest: d, Tags: []oci.Tag{"t"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeleteTag(by(t, strings.Repeat("n", 128)), repo, "t"); err != nil {
		t.Fatal(err)
	}
	want := digest.SHA512.FromBytes(imageOf("0"))
	if err := l.Restore(t.Context(), repo, "t", want); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Resolve(t.Context(), repo, oci.Reference{Tag: "t"}); err != nil || got.Digest != want {
		t.Errorf("the tag: %v, %v", got, err)
	}
}
