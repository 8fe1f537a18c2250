package observe

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
	"holdfast/test/fault"
)

// TestOutage: a store that hangs makes the alerts fire that it should, and they end with it. The rules are the real ones, but for
// their waits, which are a sixtieth, and the half minute of silence, which is five seconds.
func TestOutage(t *testing.T) {
	var store *fault.Proxy
	var admin string
	c := clustertest.Start(t, cluster.Options{
		Replicas: 1, NoHAProxy: true,
		Front: func(_ int, s3 string) (url string, err error) {
			if store, err = fault.New(t.Context(), s3, 1); err != nil {
				return "", err
			}
			return store.URL, nil
		},
		Edit: func(cfg map[string]any) {
			admin = free(t)
			cfg["http"].(map[string]any)["adminAddress"] = admin
		},
	})
	t.Cleanup(func() { _ = store.Close() })
	impatient := regexp.MustCompile(`(?m)^( +for: \d+)m$`).ReplaceAllString(read(t, rulesFile), "${1}s")
	impatient = strings.Replace(impatient, "holdfast_store_last_answer_seconds > 30", "holdfast_store_last_answer_seconds > 5", 1)
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(impatient), 0o600); err != nil {
		t.Fatal(err)
	}
	address := startPrometheus(t, file, []string{admin}, nil)
	want := []string{"HoldfastErrors", "HoldfastNoneReady", "HoldfastStoreUnreachable"}
	s := &outage{c: c, address: address}
	s.await(t, "all is well", func(firing []string) bool { return s.scraped && len(firing) == 0 })
	store.Set(fault.Rule{Match: fault.Any, Fault: fault.Hang()})
	s.await(t, "the store hangs", func(firing []string) bool {
		return !slices.ContainsFunc(want, func(name string) bool { return !slices.Contains(firing, name) })
	})
	store.Set()
	s.await(t, "the store is back", func(firing []string) bool { // that requests failed within five minutes stays true
		return !slices.Contains(firing, "HoldfastNoneReady") && !slices.Contains(firing, "HoldfastStoreUnreachable")
	})
}

type outage struct {
	c       *cluster.Cluster
	address string
	scraped bool // Prometheus knows the replica
}

// await makes requests, whatever they are answered, until the alerts that fire are what the test waits for.
func (s *outage) await(t *testing.T, what string, done func(firing []string) bool) {
	t.Helper()
	var firing []string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) { // other processes: there is nothing to wait on
		for range 5 {
			s.pull(t)
		}
		firing = s.firing(t)
		if done(firing) {
			t.Logf("%s: %v", what, firing)
			return
		}
	}
	t.Fatalf("%s, and after a minute these alerts fire: %v", what, firing)
}

func (s *outage) pull(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.c.URL+"/v2/a/manifests/v1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// firing are the alerts that fire now.
func (s *outage) firing(t *testing.T) (names []string) {
	t.Helper()
	if !s.scraped {
		s.scraped = (&site{}).query(t.Context(), s.address, "holdfast_ready == 1") == ""
		if !s.scraped {
			return nil
		}
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, "http://"+s.address+"/api/v1/alerts")), &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
