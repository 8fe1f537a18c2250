package drills

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestD32Collector: images are pushed, replaced, untagged, deleted and pushed again while collectors free what is left, with a grace of 30 s:
// each replica every 2 s under the lease, "holdfast gc" beside them, and one that asks for no lease. All of them are killed at random.
func TestD32Collector(t *testing.T) {
	size := sizeOf(t)
	var others unasked
	var commands int
	perform(t, drill{
		id: "D32", grace: grace, cluster: collecting(500), load: churning(16), after: (*run).accounts,
		inject: func(r *run) {
			ctx, stop := context.WithTimeout(r.Context(), pick(size, 45*time.Second, 10*time.Minute))
			defer stop()
			var wg sync.WaitGroup
			wg.Go(func() { others.run(ctx, r, "collector", 1, 2*time.Second, 12*time.Second) })
			wg.Go(func() { commands = r.collectNow(ctx) })
			r.killReplicas(ctx)
			wg.Wait()
			r.result.Note["passes_without_lease"], r.result.Note["passes_by_command"] = others.passes.Load(), commands
			r.result.Note["collectors_killed"], r.result.Note["removed_without_lease"] = others.kills.Load(), others.removed.Load()
		},
		limits: underCollector(),
	})
	if others.removed.Load() == 0 || others.failed.Load() > 0 {
		t.Errorf("the collector without a lease removed %d things, and failed %d times", others.removed.Load(), others.failed.Load())
	}
}

// collectNow has "holdfast gc" make full passes until ctx ends, and returns how many. While another collects it is refused.
func (r *run) collectNow(ctx context.Context) (passes int) {
	random := rand.New(rand.NewPCG(r.seed, 7))
	for ctx.Err() == nil {
		wait(ctx, upTo(random, 4*time.Second))
		switch code, out := r.command(ctx, "gc", "--json"); {
		case code == 0:
			passes++
		case code != 75 && ctx.Err() == nil:
			r.Errorf("holdfast gc ended with %d: %s", code, out)
		}
	}
	return passes
}

// killReplicas kills one replica after the other until ctx ends, every second time the one that collects, and starts it again.
func (r *run) killReplicas(ctx context.Context) {
	random := rand.New(rand.NewPCG(r.seed, 8))
	b := r.bucket(0, slog.New(slog.DiscardHandler))
	kills, holders := 0, 0
	for wait(ctx, 3*time.Second+upTo(random, 5*time.Second)); ctx.Err() == nil; wait(ctx, 3*time.Second+upTo(random, 5*time.Second)) {
		victim := 0
		for end := time.Now().Add(6 * time.Second); kills%2 == 0 && victim == 0 && time.Now().Before(end); {
			victim = r.holder(b)
			wait(ctx, 20*time.Millisecond)
		}
		if victim > 0 {
			holders++
		} else {
			victim = 1 + random.IntN(len(r.cluster.Replicas))
		}
		r.must(r.cluster.Signal(victim, syscall.SIGKILL))
		kills++
		wait(ctx, upTo(random, 2*time.Second))
		r.must(r.cluster.Restart(r.Context(), victim))
	}
	r.result.Note["replicas_killed"], r.result.Note["holders_killed"] = kills, holders
}

// TestD33TwoCollectors: two collectors that ask for no lease work at once, beside the replicas' own, and each is killed again and again at a
// random moment. What one has begun the other ends, or it begins anew.
func TestD33TwoCollectors(t *testing.T) {
	size := sizeOf(t)
	var both [2]unasked
	perform(t, drill{
		id: "D33", grace: grace, cluster: collecting(100), load: churning(pick(size, 8, 16)), after: (*run).accounts,
		inject: func(r *run) {
			ctx, stop := context.WithTimeout(r.Context(), pick(size, 50*time.Second, 3*time.Minute))
			defer stop()
			var wg sync.WaitGroup
			for n := range both {
				wg.Go(func() {
					both[n].run(ctx, r, fmt.Sprintf("collector-%d", n+1), uint64(n), 500*time.Millisecond, pick(size, 4*time.Second, 12*time.Second))
				})
			}
			wg.Wait()
			for n := range both {
				r.result.Note[fmt.Sprintf("collector_%d", n+1)] = map[string]int64{
					"kills": both[n].kills.Load(), "passes": both[n].passes.Load(), "removed": both[n].removed.Load(),
				}
			}
		},
		limits: limits{givenUp: true}, // a push that took too long between its blobs and its manifest
	})
	for n := range both {
		if u := &both[n]; u.kills.Load() < 10 || u.removed.Load() == 0 || u.failed.Load() > 0 {
			t.Errorf("collector %d was killed %d times, removed %d things and failed %d times", n+1, u.kills.Load(), u.removed.Load(), u.failed.Load())
		}
	}
}
