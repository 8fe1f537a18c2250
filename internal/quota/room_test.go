package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/quota"
)

// TestNoRoomForTheManifest: a push that is refused for want of bytes makes no repository.
func TestNoRoomForTheManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		r := s.replica(true, limit)
		time.Sleep(time.Minute)
		d, err := push(t.Context(), r, "a", 100*kib-10)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := manifest(t.Context(), r, "a", "v1", 100*kib-10, d); !full(err) {
			t.Fatal(err)
		}
		if page, err := r.Repositories(t.Context(), "", 10); err != nil || len(page.Names) != 0 {
			t.Errorf("%v %v", page.Names, err)
		}
	})
}
