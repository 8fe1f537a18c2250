package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test's own program stand in for holdfast: started as
// "PROGRAM serve FILE" it is a server that says which replica it is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		if err := standIn(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(78)
		}
		return
	}
	os.Exit(m.Run())
}

func standIn(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var cfg struct {
		HTTP    struct{ Address, Port, Fail string }
		Storage struct{ RootDirectory string }
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return err
	}
	if cfg.HTTP.Fail == cfg.HTTP.Port {
		return fmt.Errorf("config: http.fail: told to fail")
	}
	srv := &http.Server{
		Addr: cfg.HTTP.Address + ":" + cfg.HTTP.Port, ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, cfg.HTTP.Port) }),
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func TestStartStop(t *testing.T) {
	var log bytes.Buffer
	c := start(t, Options{Log: &log})
	t.Log(log.String())

	seen := make(map[string]bool)
	for range 6 {
		seen[get(t, c.URL+"/")] = true
	}
	if len(seen) != 3 {
		t.Errorf("HAProxy spread six requests over %d replicas, want 3: %v", len(seen), seen)
	}
	if err := CreateBucket(t.Context(), c.S3[1], c.Bucket); err == nil {
		t.Error("the second gateway does not know the bucket that the first one made")
	}

	old := c.Pid(2)
	if err := c.Signal(2, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if c.Pid(2) == old || get(t, c.Replicas[1]+"/") == "" {
		t.Error("replica 2 was not started again")
	}

	pids := alive(c.group)
	if len(pids) != 6 {
		t.Errorf("%d children run, want 6", len(pids))
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	gone(t, pids, c.dir)
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestStartFailsHalfWay(t *testing.T) {
	var before []string
	var dir string
	_, err := Start(t.Context(), Options{Binary: os.Args[0], Edit: func(cfg map[string]any) {
		before = append(before, cfg["storage"].(map[string]any)["rootDirectory"].(string))
		dir, _, _ = strings.Cut(before[0], "/replica-")
		if len(before) == 2 {
			cfg["http"].(map[string]any)["Fail"] = cfg["http"].(map[string]any)["port"]
		}
	}})
	if err == nil {
		t.Fatal("Start succeeded although replica 2 ended at once")
	}
	for _, want := range []string{"replica-2", "exit status 78", "told to fail"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
	gone(t, nil, dir)
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var dir string
	_, err := Start(ctx, Options{Binary: os.Args[0], Edit: func(cfg map[string]any) {
		dir, _, _ = strings.Cut(cfg["storage"].(map[string]any)["rootDirectory"].(string), "/replica-")
		cancel()
	}})
	if err == nil {
		t.Fatal("Start succeeded although its context had ended")
	}
	gone(t, nil, dir)
}

func TestStartNamesTheTakenPort(t *testing.T) {
	c := start(t, Options{Store: Local, Replicas: 1, NoHAProxy: true})
	_, err := Start(t.Context(), Options{Store: Local, ReplicaPorts: c.ports, NoHAProxy: true, Binary: os.Args[0]})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d, wanted for replica 1, is taken", c.ports[0])) {
		t.Errorf("error %v, want one that names the port and what it was wanted for", err)
	}
}

func TestStopInsists(t *testing.T) {
	g, err := newGroup(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.start(t.Context(), command{
		name: "deaf", path: "/bin/sh", grace: 50 * time.Millisecond,
		args: []string{"-c", "trap '' TERM; echo ready; while :; do sleep 1; done"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ready(t.Context(), 5*time.Second, func(context.Context) error {
		if p.tail() == "" {
			return fmt.Errorf("no output yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	g.stop()
	gone(t, []int{p.cmd.Process.Pid}, "")
}

func TestLoopback(t *testing.T) {
	got := loopback(haproxyConfig, "/tmp/s", 18080, []int{1, 2, 3, 4})
	for _, want := range []string{
		"    bind 127.0.0.1:18080\n", "    balance roundrobin\n", "    server zot4 127.0.0.1:4 check\n",
		"stats socket /tmp/s mode 660", "log stdout format raw local0\n", "timeout server  50000\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("configuration lacks %q:\n%s", want, got)
		}
	}
	for _, not := range []string{"daemon\n", "chroot", "/dev/log", "*:8080", "8081"} {
		if strings.Contains(got, not) {
			t.Errorf("configuration has %q:\n%s", not, got)
		}
	}
}

func TestLoopbackKeepsWhatDecides(t *testing.T) {
	const config = `frontend registry
        bind *:8080
backend replicas
        server replica1 10.0.0.1:8080 check inter 1s
        server replica2 10.0.0.2:8080 check inter 1s
frontend statistics
        bind 127.0.0.1:8404
`
	got := loopback(config, "/tmp/s", 18080, []int{7, 8, 9})
	want := `frontend registry
        bind 127.0.0.1:18080
backend replicas
        server replica1 127.0.0.1:7 check inter 1s
        server replica2 127.0.0.1:8 check inter 1s
        server replica3 127.0.0.1:9 check inter 1s
frontend statistics
        bind unix@/tmp/s.1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFrontAndPrefix(t *testing.T) {
	var fronts []string
	c := start(t, Options{
		NoHAProxy: true, Replicas: 2, Prefix: []string{"/bin/sh", "-c", `ulimit -n 99; exec "$0" "$@"`},
		Front: func(n int, s3 string) (string, error) {
			fronts = append(fronts, s3)
			return fmt.Sprintf("http://127.0.0.1:%d", n), nil
		},
	})
	if diff := cmp.Diff(c.S3, fronts); diff != "" {
		t.Errorf("the replicas were to use other gateways: %s", diff)
	}
	if err := c.Restart(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if len(fronts) != 2 {
		t.Error("a restart asked for another front")
	}
	text, err := os.ReadFile(c.dir + "/config-2.json")
	if err != nil || !strings.Contains(string(text), `"regionendpoint": "http://127.0.0.1:2"`) {
		t.Errorf("replica 2 does not use its front: %v\n%s", err, text)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.Pid(1)))
	if err != nil || !strings.Contains(string(limits), "Max open files            99 ") {
		t.Errorf("replica 1 has other limits: %v\n%s", err, limits)
	}
	if u, err := c.Usage(1); err != nil || u.Resident == 0 || u.Peak < u.Resident || u.Descriptors == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if err := c.SignalS3(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartS3(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.group.of(VersityGW)) != 2 {
		t.Error("the gateways were not started again")
	}
}

func TestEnvRoundTrip(t *testing.T) {
	s := &Servers{names: []string{"a", "b"}, URLs: map[string][]string{"a": {"http://1", "http://2"}, "b": {"http://3"}}}
	got, err := ParseEnv(s.Env())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.URLs, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ParseEnv("nonsense"); err == nil {
		t.Error("ParseEnv took nonsense")
	}
}

func start(t *testing.T, opt Options) *Cluster {
	t.Helper()
	opt.Binary = os.Args[0]
	c, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
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
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func alive(g *group) (pids []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.procs {
		if syscall.Kill(p.cmd.Process.Pid, 0) == nil {
			pids = append(pids, p.cmd.Process.Pid)
		}
	}
	return pids
}

// gone checks that no process of pids runs and that dir is no more.
func gone(t *testing.T, pids []int, dir string) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	if dir == "" {
		return
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder %s is still there: %v", dir, err)
	}
}

// TestGateways runs against every S3 server of HOLDFAST_TEST_S3, or starts one of each.
func TestGateways(t *testing.T) {
	urls, err := ParseEnv(os.Getenv("HOLDFAST_TEST_S3"))
	if err != nil {
		t.Fatal(err)
	}
	if len(urls) == 0 {
		servers, err := StartS3(t.Context(), t.Output(), VersityGW, Ceph)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := servers.Stop(); err != nil {
				t.Error(err)
			}
		})
		urls = servers.URLs
	}
	for name, urls := range urls {
		bucket := "gateways-" + strings.ToLower(rand.Text()[:12])
		if err := CreateBucket(t.Context(), urls[0], bucket); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := answers(urls[1]+"/"+bucket, http.StatusForbidden)(t.Context()); err != nil {
			t.Errorf("%s: the second gateway does not know the first one's bucket: %v", name, err)
		}
	}
}
