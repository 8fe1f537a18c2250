package site

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/test/history/call"
	"holdfast/test/history/work"
)

func TestRunning(t *testing.T) {
	s, err := Running([]string{"http://lb:80/", "http://r1:80", "https://r2"})
	if err != nil {
		t.Fatal(err)
	}
	want := []work.Target{{Name: "balancer", URL: "http://lb:80"}, {Name: "replica1", URL: "http://r1:80"}, {Name: "replica2", URL: "https://r2"}}
	if diff := cmp.Diff(want, s.Targets()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], s.Direct()); diff != "" {
		t.Error(diff)
	}
	if _, known := s.Place(); known {
		t.Error("the store of an installation that runs already is known")
	}
	if err := s.Disturb(t.Context(), 1, nil, nil); err == nil {
		t.Error("an installation that is not ours is disturbed")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]string{nil, {"lb:80"}, {"http://lb", ""}} {
		if _, err := Running(bad); err == nil {
			t.Errorf("%q are taken for URLs", bad)
		}
	}
	alone, err := Running([]string{"http://lb"})
	if err != nil || len(alone.Direct()) != 1 {
		t.Errorf("without replicas the balancer is read: %v, %v", alone, err)
	}
}

// TestLikeZot: zot's replicas share nothing but the bucket, and know no key that is only ours.
func TestLikeZot(t *testing.T) {
	cfg := map[string]any{
		"storage": map[string]any{"dedupe": true, "storageDriver": map[string]any{"name": "s3"}},
		"http":    map[string]any{"port": "1", "drainDelay": "0s"},
		"log":     map[string]any{"level": "debug"},
	}
	likeZot(cfg)
	want := map[string]any{
		"storage": map[string]any{"dedupe": false, "gc": false, "remoteCache": false, "storageDriver": map[string]any{"name": "s3", "forcepathstyle": true}},
		"http":    map[string]any{"port": "1"},
		"log":     map[string]any{"level": "error"},
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
}

func TestRemember(t *testing.T) {
	s := &Site{}
	s.Remember([]call.Call{{N: 1}})
	if all := s.Remember([]call.Call{{N: 2}}); len(all) != 2 {
		t.Errorf("%d calls are remembered, want both", len(all))
	}
}
