package registry_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// upload begins an upload of content.
func (s *stores) upload(l *registry.Local, repo oci.Repository, content string) string {
	s.t.Helper()
	up, err := l.StartUpload(s.t.Context(), repo, digest.SHA256)
	if err == nil {
		up, err = l.AppendUpload(s.t.Context(), repo, up.ID, chunk(content))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return up.ID
}

func chunk(content string) registry.Chunk {
	return registry.Chunk{Start: -1, Size: int64(len(content)), Body: strings.NewReader(content)}
}

// However often and at once one session is committed with different last bytes, it becomes one blob, and no segment
// is named by two records.
func TestASessionBecomesOneBlob(t *testing.T) {
	s := newStores(t)
	replicas := []*registry.Local{s.replica(), s.replica()}
	id := s.upload(replicas[0], "a", "first ")
	var done atomic.Int64
	var group errgroup.Group
	commit := func(n int, last string) error {
		body := chunk(last)
		if last == "" {
			body = registry.Chunk{Start: -1}
		}
		err := replicas[n%2].CommitUpload(t.Context(), "a", id, digest.FromString("first "+last), body)
		switch {
		case err == nil:
			done.Add(1)
		case !errors.Is(err, oci.ErrBlobUploadUnknown):
			return fmt.Errorf("commit of %q: %w", last, err)
		}
		return nil
	}
	for n, last := range []string{"", "a", "b", "c"} {
		group.Go(func() error { return commit(n, last) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	for n, last := range []string{"d", "e"} {
		if err := commit(n, last); err != nil {
			t.Error(err)
		}
	}
	if n := done.Load(); n != 1 {
		t.Errorf("%d commits were acknowledged, want 1", n)
	}
	named := map[string]record.Key{}
	for entry, err := range s.records.List(t.Context(), "b/", "") {
		if err != nil {
			t.Fatal(err)
		}
		rec, err := s.records.Get(t.Context(), entry.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`"id":"([0-9a-f]+)"`).FindAllString(string(rec.Value), -1) {
			if other, twice := named[id]; twice {
				t.Errorf("%s is named by %s and by %s", id, other, entry.Key)
			}
			named[id] = entry.Key
		}
	}
}

// A commit that dies at any request, applied or not, is finished by the same commit at another replica.
func TestACommitThatDiesIsFinishedByTheNext(t *testing.T) {
	for _, last := range []string{"", "last"} {
		for _, applied := range []bool{false, true} {
			for n := range int64(10) {
				t.Run(fmt.Sprintf("last %q, applied %t, from request %d", last, applied, n), func(t *testing.T) {
					s := newStores(t)
					var left atomic.Int64
					left.Store(1 << 40)
					l := s.open(failing{s.records, &left, applied}, s.segments)
					healthy := s.replica()
					id := s.upload(l, "a", "first ")
					content := "first " + last
					d := digest.FromString(content)
					commit := func(l *registry.Local) error {
						body := chunk(last)
						if last == "" {
							body = registry.Chunk{Start: -1}
						}
						return l.CommitUpload(t.Context(), "a", id, d, body)
					}
					left.Store(n)
					if err := commit(l); err != nil && !errors.Is(err, record.ErrUnavailable) {
						t.Fatalf("a commit without a store: %v", err)
					}
					left.Store(1 << 40)
					for range 2 {
						if err := commit(healthy); err != nil {
							t.Fatalf("the same commit again: %v", err)
						}
					}
					if got, err := read(t, healthy, "a", d); err != nil || string(got) != content {
						t.Fatalf("the blob: %q, %v", got, err)
					}
				})
			}
		}
	}
}
