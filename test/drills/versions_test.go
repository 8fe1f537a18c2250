package drills

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/drills/load"
)

// previous is the commit of the version before this one: HOLDFAST_DRILLS_PREVIOUS, else the last tag, else, while nothing was released, this commit
// itself: then the drill shows that restarts are smooth, and nothing of versions.
func previous(t *testing.T) string {
	t.Helper()
	tag, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--abbrev=0").Output()
	if err != nil {
		tag = nil // there is none
	}
	return cmp.Or(os.Getenv("HOLDFAST_DRILLS_PREVIOUS"), strings.TrimSpace(string(tag)), "HEAD")
}

// TestD31Versions: three replicas go from the version before this one to this one, one after the other, and back, again and again, so that both serve
// one bucket most of the time, while large uploads go from one to the other. No client notices.
func TestD31Versions(t *testing.T) {
	size := sizeOf(t)
	commit := previous(t)
	old, err := cluster.BuildCommit(t.Context(), t.TempDir(), commit)
	if err != nil {
		t.Fatal(err)
	}
	current, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var (
		uploading sync.WaitGroup
		uploaded  atomic.Int64
	)
	perform(t, drill{
		id:      "D31",
		cluster: func(o *cluster.Options) { o.Binary = old },
		inject: func(r *run) {
			ctx, stop := context.WithCancel(r.Context())
			defer stop()
			uploading.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					if d, ok := load.PushLarge(r.Context(), r.load, r.loadOpt, 100+i, pick(size, int64(9<<20), 200<<20)); !ok {
						r.Errorf("the upload of %s failed", d)
					}
					uploaded.Add(1)
					wait(ctx, pick(size, 3*time.Second, 15*time.Second))
				}
			})
			rounds := 0
			for end := time.Now().Add(pick(size, 0, 10*time.Minute)); rounds == 0 || time.Now().Before(end); rounds++ {
				for _, to := range []string{current, old} {
					for n := 1; n <= 3; n++ {
						r.must(r.cluster.Signal(n, syscall.SIGTERM))
						waiting, cancel := context.WithTimeout(ctx, 80*time.Second)
						err := r.cluster.Wait(waiting, n)
						cancel()
						r.must(err)
						r.must(r.cluster.RestartAs(ctx, n, to))
					}
				}
			}
			r.result.Note["previous"], r.result.Note["rounds"] = commit, rounds
			stop()
			uploading.Wait()
			r.result.Note["large_uploads"] = uploaded.Load()
		},
		limits: limits{},
	})
}
