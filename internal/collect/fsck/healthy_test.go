package fsck_test

import (
	"testing"
	"time"

	"holdfast/internal/collect/fsck"
)

func TestAHealthySiteHasNoFindings(t *testing.T) {
	s, _ := full(t)
	for name, cfg := range map[string]fsck.Config{
		"online": {}, "offline": {Offline: true}, "repairing": {Offline: true, Repair: true}, "one at a time": {Parallel: 1}, "with little memory": {MaxNames: 1},
	} {
		r := s.run(cfg)
		s.wantKinds(name, r)
		if len(r.Repaired) > 0 || r.Worst() != "" || r.InFlight != 0 {
			t.Errorf("%s: repaired %v, worst %q, in flight %d", name, r.Repaired, r.Worst(), r.InFlight)
		}
		for _, class := range []fsck.Class{fsck.Records, fsck.Links, fsck.Manifests, fsck.Tags, fsck.Referrers, fsck.Markers, fsck.Fences, fsck.Repositories, fsck.Sessions, fsck.Segments} {
			if r.Checked[class] == 0 {
				t.Errorf("%s: no %s were checked", name, class)
			}
		}
		if r.Bytes.Links <= r.Bytes.Blobs || r.Bytes.UnnamedYoung == 0 || r.Bytes.UnnamedOrphan > 0 || r.Bytes.Segments <= r.Bytes.Blobs {
			t.Errorf("%s: bytes %+v", name, r.Bytes)
		}
		if want := s.run(fsck.Config{}); r.Bytes != want.Bytes || len(r.Checked) != len(want.Checked) {
			t.Errorf("%s: bytes %+v, otherwise %+v", name, r.Bytes, want.Bytes)
		}
	}
}

func TestAnEmptyStoreHasNoFindings(t *testing.T) {
	s := newSite(t)
	for range 2 {
		s.wantKinds("empty", s.run(fsck.Config{Offline: true}))
		s.clock.pass(100 * 24 * time.Hour)
	}
}
