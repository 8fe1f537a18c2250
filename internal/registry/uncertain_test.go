package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// forgetful is a store that loses the answer of every write that finds another value, as a store does whose
// 500s a driver looks into.
type forgetful struct {
	record.Store
	lost *atomic.Int64
}

func (f forgetful) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	stamp, err := f.Store.Put(ctx, key, value, cond)
	if err == nil {
		return stamp, nil
	}
	current, err := f.Get(ctx, key)
	if err != nil {
		return record.Stamp{}, err
	}
	f.lost.Add(1)
	return record.Stamp{}, &record.Uncertain{Current: current, Err: fmt.Errorf("the answer was lost: %w", record.ErrUnavailable)}
}

// What is there already may be pushed again although each answer that would have said so was lost.
func TestPushOfWhatIsThereThroughLostAnswers(t *testing.T) {
	s := newStores(t)
	healthy := s.replica()
	const content = "a layer"
	d := s.push(healthy, "a", content)
	s.manifest(healthy, "a", "v1")
	var lost atomic.Int64
	l := s.open(forgetful{s.records, &lost}, s.segments)
	for _, repo := range []oci.Repository{"a", "b"} {
		if err := l.PushBlob(t.Context(), repo, d, strings.NewReader(content), int64(len(content))); err != nil {
			t.Errorf("the blob into %s: %v", repo, err)
		}
		if err := l.MountBlob(t.Context(), repo, d, registry.Source{Repository: "a"}); err != nil {
			t.Errorf("a mount into %s: %v", repo, err)
		}
		if got, err := read(t, healthy, repo, d); err != nil || string(got) != content {
			t.Errorf("the blob of %s: %q, %v", repo, got, err)
		}
	}
	if lost.Load() == 0 {
		t.Fatal("no answer was lost")
	}
	before := lost.Load()
	body := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[]}`, digest.FromString("config of a"), len("config of a"))
	for range 2 {
		if _, err := l.PushManifest(t.Context(), "a", registry.Push{Body: body, Tags: []oci.Tag{"v1"}}); err != nil {
			t.Errorf("the manifest: %v", err)
		}
	}
	if lost.Load() == before {
		t.Error("no answer of the manifest's was lost")
	}
}
