package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
	"holdfast/test/ports"
)

// site is two replicas over a bucket, each with a directory beside it and both kinds of caches, and clients that never stop.
type site struct {
	*cluster.Cluster
	admin []string // host:port of the replicas' listeners for those who watch
}

func start(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Cluster = clustertest.Start(t, cluster.Options{Replicas: 2, NoHAProxy: true, Cache: cluster.Redis, Edit: func(cfg map[string]any) {
		admin := free(t)
		s.admin = append(s.admin, admin)
		cfg["http"].(map[string]any)["adminAddress"] = admin
		cfg["extensions"] = map[string]any{"metrics": map[string]any{}, "scrub": map[string]any{"interval": "2h"}}
		storage := cfg["storage"].(map[string]any)
		storage["gc"], storage["gcInterval"] = true, "2s"
		storage["maxRepos"], storage["quotas"] = 1000, []any{map[string]any{"prefix": "team", "bytes": "10GiB"}}
		storage["cache"] = map[string]any{"dir": t.TempDir(), "maxBytes": "64MiB"}
		storage["subPaths"] = map[string]any{"/local": map[string]any{"rootDirectory": t.TempDir()}}
	}})
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for n, url := range s.Replicas {
		clients.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				for _, repo := range []string{"team/app", "local/app"} {
					s.work(ctx, t, url, repo, fmt.Sprintf("layer %d of %d", i, n))
				}
			}
		})
	}
	t.Cleanup(func() { stop(); clients.Wait() })
	return s
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	found, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return ports.Address(found[0])
}

// work pushes an image to a replica, under a tag that all clients set, and pulls it.
func (s *site) work(ctx context.Context, t *testing.T, base, repo, content string) {
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	for _, blob := range []string{"{}", content} {
		at := "/v2/" + repo + "/blobs/" + string(digest.FromString(blob))
		if status, _ := s.do(ctx, t, "HEAD", base+at, "", ""); status == http.StatusNotFound {
			_, upload := s.do(ctx, t, "POST", base+"/v2/"+repo+"/blobs/uploads/", "", "")
			if location := upload.Get("Location"); location != "" {
				s.do(ctx, t, "PUT", base+location+"?digest="+string(digest.FromString(blob)), "application/octet-stream", blob)
			}
		}
		s.do(ctx, t, "GET", base+at, "", "")
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[{"mediaType":"a/b","digest":%q,"size":%d}]}`,
		mediaType, digest.FromString("{}"), digest.FromString(content), len(content))
	s.do(ctx, t, "PUT", base+"/v2/"+repo+"/manifests/latest", mediaType, manifest)
	s.do(ctx, t, "GET", base+"/v2/"+repo+"/manifests/latest", "", "")
	s.do(ctx, t, "GET", base+"/v2/"+repo+"/tags/list", "", "")
}

// do makes a request, and returns the answer's status and header.
func (s *site) do(ctx context.Context, t *testing.T, method, url, contentType, body string) (int, http.Header) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			t.Error(err)
		}
		return 0, nil
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	if resp.StatusCode >= 500 {
		t.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return resp.StatusCode, resp.Header
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", url, resp.Status, err)
	}
	return string(text)
}

// TestWatched: replicas with work to do, watched as operators do.
func TestWatched(t *testing.T) {
	s := start(t)
	t.Run("plain Prometheus", func(t *testing.T) { s.prometheus(t, false) })
	t.Run("native histograms", func(t *testing.T) { s.prometheus(t, true) })
	t.Run("promtool checks the metrics", func(t *testing.T) {
		text := get(t, "http://"+s.admin[0]+"/metrics")
		tool(t, text, "promtool", "check", "metrics")
	})
	t.Run("every name exists", func(t *testing.T) {
		there := map[string]bool{}
		for line := range strings.Lines(get(t, s.Replicas[0]+"/metrics")) { // zot's path: the same
			if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
				name, _, _ := strings.Cut(rest, " ")
				there[name] = true
			}
		}
		for _, file := range []string{rulesFile, dashboardFile, runbooks, "../../docs/observability.md"} {
			for _, name := range named(read(t, file)) {
				// These replicas have no TLS and no users: internal/server's tests look for those.
				if !there[name] && !strings.HasPrefix(name, "holdfast_tls_") && name != "holdfast_credentials_total" && name != "holdfast_password_file_good" {
					t.Errorf("%s names %s, and there is no such metric", filepath.Base(file), name)
				}
			}
		}
	})
	t.Run("no label grows with what is stored", func(t *testing.T) {
		text := get(t, "http://"+s.admin[0]+"/metrics")
		for _, word := range []string{"team/app", "latest", "sha256", "uploads/"} {
			if strings.Contains(text, word) {
				t.Errorf("the metrics hold %q", word)
			}
		}
	})
	t.Run("profiles and health at the admin listener only", func(t *testing.T) {
		get(t, "http://"+s.admin[0]+"/debug/pprof/goroutine?debug=1")
		get(t, "http://"+s.admin[0]+"/readyz")
		if status, _ := s.do(t.Context(), t, "GET", s.Replicas[0]+"/debug/pprof/goroutine", "", ""); status != http.StatusNotFound {
			t.Errorf("profiles are served to clients: %d", status)
		}
		if status, _ := s.do(t.Context(), t, "GET", "http://"+s.admin[0]+"/v2/", "", ""); status != http.StatusNotFound {
			t.Errorf("the API is served at the admin listener: %d", status)
		}
	})
	t.Run("one line for each request", s.log)
}

// log looks at what a replica has logged.
func (s *site) log(t *testing.T) {
	_, header := s.do(t.Context(), t, "GET", s.Replicas[0]+"/v2/team/app/manifests/no-such?canary=1", "", "")
	id := header.Get("X-Request-Id")
	var found []string
	for range 50 {
		found = nil
		for line := range strings.Lines(read(t, s.LogFile(1))) {
			if strings.Contains(line, id) {
				found = append(found, line)
			}
		}
		if len(found) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond) // another process's log: there is nothing to wait on
	}
	if id == "" || len(found) != 1 || strings.Contains(found[0], "canary") {
		t.Fatalf("the lines of request %q: %s", id, found)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(found[0]), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"msg": "request", "level": "INFO", "method": "GET", "route": "manifest", "repo": "team/app", "status": 404.0} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v: %s", key, line[key], want, found[0])
		}
	}
}

// startPrometheus starts a Prometheus over replicas, and returns its host:port.
func startPrometheus(t *testing.T, rulesAt string, replicas, flags []string) string {
	t.Helper()
	path, err := cluster.Tool("prometheus")
	if err != nil {
		t.Fatal(err, "; or scripts/tools.sh observe")
	}
	dir, address := t.TempDir(), free(t)
	if rulesAt, err = filepath.Abs(rulesAt); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: holdfast, static_configs: [{targets: [%s]}]}]\n",
		rulesAt, strings.Join(replicas, ", "))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address}, flags...)
	var out bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // it ends by a signal
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return address
}

// prometheus starts a Prometheus over the replicas, with the rules, and waits until every expression of the dashboard has data.
func (s *site) prometheus(t *testing.T, native bool) {
	var flags []string
	if native {
		flags = []string{"--enable-feature=native-histograms"}
	}
	address := startPrometheus(t, rulesFile, s.admin, flags)
	wanted := map[string]string{}
	for _, p := range panels(t) {
		for i, q := range p.Targets {
			wanted[fmt.Sprintf("%s, %c", p.Title, 'A'+i)] = strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*").Replace(q.Expr)
		}
	}
	missing := map[string]string{}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(time.Second) { // another process: there is nothing to wait on
		missing = map[string]string{}
		for title, expr := range wanted {
			if problem := s.query(t.Context(), address, expr); problem != "" {
				missing[title] = problem + ": " + expr
			}
		}
		if len(missing) == 0 {
			break
		}
	}
	for _, title := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("the panel %s has no data: %s", title, missing[title])
	}
	s.rulesAreWell(t, address)
	if !native {
		return
	}
	if problem := s.query(t.Context(), address, `histogram_count(rate(holdfast_http_request_duration_seconds[10s]))`); problem != "" {
		t.Errorf("there are no native histograms: %s", problem)
	}
}

// query says what is wrong with an expression, or its data; "" for nothing.
func (s *site) query(ctx context.Context, address, expr string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v1/query?query="+url.QueryEscape(expr), http.NoBody)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	var answer struct {
		Status, Error string
		Data          struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err.Error()
	}
	if answer.Status != "success" {
		return answer.Error
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			return ""
		}
	}
	return fmt.Sprintf("%d results, none a number", len(answer.Data.Result))
}

// rulesAreWell: every rule was evaluated without an error, and none fires over replicas that are well.
func (s *site) rulesAreWell(t *testing.T, address string) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, "http://"+address+"/api/v1/rules")), &answer); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health != "ok" || r.State == "firing" {
				t.Errorf("%s: %s, %s %s", r.Name, r.State, r.Health, r.LastError)
			}
		}
	}
	if want := len(rules(t)); n != want {
		t.Errorf("Prometheus has %d rules of %d", n, want)
	}
}
