package edge

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

// TestRateOfAllReplicas: three replicas that share a Redis serve a client the rate that is configured, all together; when it is gone, each does.
func TestRateOfAllReplicas(t *testing.T) {
	const rate = 60
	c := clustertest.Start(t, cluster.Options{Cache: cluster.Redis, NoHAProxy: true, Edit: func(cfg map[string]any) {
		cfg["http"].(map[string]any)["ratelimit"] = map[string]any{"rate": rate}
	}})
	// A replica counts the others every 15 s, so it takes them a while.
	comesTo(t, c.Replicas, rate, rate, rate*3/2)
	if err := c.SignalCache(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	comesTo(t, c.Replicas, rate, rate*2, (rate+1)*len(c.Replicas)) // some answers come in the next second
}

// comesTo asks until replicas serve least to most requests in a second, in two of three seconds.
func comesTo(t *testing.T, replicas []string, rate, least, most int) {
	t.Helper()
	var served []int
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		asked, n := oneSecond(t, replicas, 10*rate)
		if asked <= (rate+1)*len(replicas) {
			continue // the machine is busy: that tells nothing
		}
		served = append(served, n)
		if len(served) < 3 {
			continue
		}
		last := slices.Sorted(slices.Values(served[len(served)-3:]))
		if last[1] >= least && last[1] <= most {
			return
		}
	}
	t.Fatalf("seconds have %d requests: want %d to %d", served, least, most)
}

// oneSecond asks all replicas at once during the next second, each at most so many times, and counts the requests and those that were served.
func oneSecond(t *testing.T, replicas []string, most int) (asked, served int) {
	t.Helper()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	second := time.Now().Unix()
	var all sync.WaitGroup
	var asks, oks atomic.Int64
	for _, replica := range replicas {
		all.Go(func() {
			for n := 0; n < most && time.Now().Unix() == second; n++ {
				res, err := http.Get(replica + "/v2/")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				asks.Add(1)
				switch res.StatusCode {
				case http.StatusOK:
					oks.Add(1)
				case http.StatusTooManyRequests:
				default:
					t.Errorf("answered %s", res.Status)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	all.Wait()
	t.Logf("%d of %d were served", oks.Load(), asks.Load())
	return int(asks.Load()), int(oks.Load())
}
