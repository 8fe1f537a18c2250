package drills

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/drills/check"
	"holdfast/test/drills/load"
)

// TestD01KillOne: kill -9 of one replica, which comes back later.
func TestD01KillOne(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D01", hold: pick(size, 3*time.Second, 10*time.Second),
		inject: func(r *run) { r.must(r.cluster.Signal(2, syscall.SIGKILL)) },
		heal:   func(r *run) { r.must(r.cluster.Restart(r.Context(), 2)) },
		// Only what was in flight may fail: a write of each client. A read whose answer had begun breaks, and is seen to.
		limits: limits{failed: []string{"none", "502", "503", "cut"}, reads: true, most: 8, answer: 3 * time.Second, recovery: time.Second, since: broken},
	}).onlyCutReads()
}

// TestD01KillOneBehindZotsSample: the same behind the configuration that zot publishes, whose clients wait
// longer and are refused more, and lose no more.
func TestD01KillOneBehindZotsSample(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D01-sample", hold: pick(size, 6*time.Second, 15*time.Second),
		cluster: func(o *cluster.Options) {
			o.HAProxyConfig = zotHAProxy
			o.Edit = func(cfg map[string]any) { cfg["http"].(map[string]any)["drainDelay"] = "0s" }
		},
		inject: func(r *run) { r.must(r.cluster.Signal(2, syscall.SIGKILL)) },
		heal:   func(r *run) { r.must(r.cluster.Restart(r.Context(), 2)) },
		// 502, none and cut are what was in flight when the replica died, a request of each client.
		limits: limits{failed: []string{"503", "502", "none", "cut"}, broken: 8, reads: true, givenUp: true, noHint: true, answer: 50 * time.Second, recovery: 10 * time.Second, since: broken},
	})
}

// TestD02KillAll: kill -9 of all replicas. There is nothing to repair, and they start as fast as ever.
func TestD02KillAll(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D02", hold: pick(size, 2*time.Second, 5*time.Second),
		inject: func(r *run) {
			for n := 1; n <= 3; n++ {
				r.must(r.cluster.Signal(n, syscall.SIGKILL))
			}
		},
		heal: func(r *run) {
			var wg sync.WaitGroup
			for n := 1; n <= 3; n++ {
				wg.Go(func() {
					if err := r.cluster.Restart(r.Context(), n); err != nil {
						r.Error(err)
					}
				})
			}
			wg.Wait()
		},
		limits: limits{failed: []string{"none", "502", "503", "cut"}, reads: true, givenUp: true, broken: 24, recovery: 3 * time.Second, since: healing},
	})
}

// TestD04RollingRestart: every replica is asked to end and started again, one after the other, while large
// uploads are under way. No client notices.
func TestD04RollingRestart(t *testing.T) {
	size := sizeOf(t)
	const uploaders = 2
	var (
		uploading sync.WaitGroup
		uploaded  atomic.Int64
	)
	perform(t, drill{
		id:   "D04",
		load: func(o *load.Options) { o.Think = pick(size, o.Think, 10*time.Millisecond) },
		inject: func(r *run) {
			ctx, stop := context.WithCancel(r.Context())
			defer stop()
			for n := range uploaders {
				uploading.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						if d, ok := load.PushLarge(r.Context(), r.load, r.loadOpt, 100*(n+1)+i, pick(size, int64(9<<20), 200<<20)); !ok {
							r.Errorf("the upload of %s failed", d)
						}
						uploaded.Add(1)
						wait(ctx, pick(size, 3*time.Second, 30*time.Second))
					}
				})
			}
			rounds, want := 0, pick(size, 0, 20_000)
			for begun := r.load.History.Len(); rounds == 0 || r.load.History.Len()-begun < want; rounds++ {
				for n := 1; n <= 3; n++ {
					r.must(r.cluster.Signal(n, syscall.SIGTERM))
					waiting, cancel := context.WithTimeout(ctx, 80*time.Second)
					err := r.cluster.Wait(waiting, n)
					cancel()
					r.must(err)
					r.must(r.cluster.Restart(r.Context(), n))
				}
			}
			r.result.Note["rounds"], r.result.Note["requests_meanwhile"] = rounds, r.load.History.Len()
			stop()
			uploading.Wait()
			r.result.Note["large_uploads"] = uploaded.Load()
		},
		limits: limits{},
	})
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestD05Pause: one replica stands still, long enough to be given up by all, and wakes.
func TestD05Pause(t *testing.T) {
	size := sizeOf(t)
	perform(t, drill{
		id: "D05", hold: pick(size, 6*time.Second, time.Minute),
		inject: func(r *run) { r.must(r.cluster.Signal(3, syscall.SIGSTOP)) },
		heal:   func(r *run) { r.must(r.cluster.Signal(3, syscall.SIGCONT)) },
		limits: limits{failed: []string{"none", "502", "503", "504", "cut"}, reads: true, writes: 8, most: 8, answer: 3 * time.Second, recovery: time.Second},
	}).onlyCutReads()
}

// onlyCutReads checks that no read failed but by an answer that broke off: what had not begun is asked elsewhere.
func (r *run) onlyCutReads() {
	r.Helper()
	for _, c := range r.load.History.Calls() {
		if c.Failed() && !c.Cut && !c.Write() && c.Op != load.BlobStart {
			r.Errorf("a read failed whose answer had not begun: %s", check.Describe(c))
		}
	}
}

// TestD07Memory: replicas with little memory take many large uploads at once. The limit is Go's own
// (GOMEMLIMIT), which is soft, and the bound is checked on what the kernel counted.
func TestD07Memory(t *testing.T) {
	size := sizeOf(t)
	const limit = 256 << 20
	r := perform(t, drill{
		id: "D07",
		cluster: func(o *cluster.Options) {
			o.Env = []string{"GOMEMLIMIT=128MiB"}
			edit := o.Edit
			o.Edit = func(cfg map[string]any) {
				edit(cfg)
				cfg["storage"].(map[string]any)["memoryBudget"] = "64MiB"
			}
		},
		inject: func(r *run) {
			var wg sync.WaitGroup
			for n := range pick(size, 6, 16) {
				wg.Go(func() {
					if d, ok := load.PushLarge(r.Context(), r.load, r.loadOpt, 100+n, pick(size, int64(16<<20), 256<<20)); !ok {
						r.Errorf("the upload of %s failed", d)
					}
				})
			}
			wg.Wait()
		},
		limits: limits{},
	})
	for n, u := range r.result.After {
		if u.Peak > limit {
			t.Errorf("replica %d had %d MiB of memory, want at most %d MiB", n+1, u.Peak>>20, limit>>20)
		}
	}
}

// TestD08Descriptors: somebody holds more connections to one replica than it may have descriptors.
func TestD08Descriptors(t *testing.T) {
	size := sizeOf(t)
	const limit = 256
	var held []net.Conn
	r := perform(t, drill{
		id: "D08", hold: pick(size, 3*time.Second, 20*time.Second),
		cluster: func(o *cluster.Options) {
			o.Prefix = []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit)}
		},
		inject: func(r *run) {
			address := strings.TrimPrefix(r.cluster.Replicas[0], "http://")
			for range limit + 64 {
				var d net.Dialer
				conn, err := d.DialContext(r.Context(), "tcp", address)
				r.must(err)
				held = append(held, conn)
				// A request that was answered: the connection is idle, and may stay so for two minutes.
				_, err = fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", address)
				r.must(err)
			}
		},
		heal: func(r *run) {
			for _, conn := range held {
				r.must(conn.Close())
			}
		},
		limits: limits{failed: []string{"none", "502", "503", "504", "cut"}, reads: true, broken: 24, answer: 5 * time.Second, recovery: 5 * time.Second},
	})
	r.answersDirectly(0)
}

// answersDirectly checks that a replica's own process still serves.
func (r *run) answersDirectly(n int) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, r.cluster.Replicas[n]+"/readyz", http.NoBody)
	r.must(err)
	resp, err := http.DefaultClient.Do(req)
	r.must(err)
	r.must(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		r.Errorf("replica %d says %s", n+1, resp.Status)
	}
}
