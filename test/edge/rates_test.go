package edge

import (
	"io"
	"net/http"
	"slices"
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
	comesTo(t, c.Replicas, rate, rate*2, rate*len(c.Replicas))
}

// comesTo asks until replicas serve least to most requests in a second, in three of five seconds.
func comesTo(t *testing.T, replicas []string, rate, least, most int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		served := servedInASecond(t, replicas, rate)
		if served >= least && served <= most {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a second has %d requests: want %d to %d", served, least, most)
		}
	}
}

// servedInASecond asks replicas by turns for some seconds, and returns what they served in the middle one of those in which each was asked for more than the rate.
func servedInASecond(t *testing.T, replicas []string, rate int) int {
	t.Helper()
	var counts []int
	for end := time.Now().Add(time.Minute); len(counts) < 5; {
		if time.Now().After(end) {
			t.Fatalf("this machine does not ask %d times in a second", (rate+1)*len(replicas))
		}
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		asked, served := 0, 0
		for second := time.Now().Unix(); time.Now().Unix() == second && asked < 10*rate*len(replicas); asked++ {
			res, err := http.Get(replicas[asked%len(replicas)] + "/v2/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			switch res.StatusCode {
			case http.StatusOK:
				served++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("answered %s", res.Status)
			}
			time.Sleep(500 * time.Microsecond)
		}
		if asked > (rate+1)*len(replicas) {
			counts = append(counts, served)
		}
	}
	slices.Sort(counts)
	t.Logf("served in a second: %d", counts)
	return counts[len(counts)/2]
}
