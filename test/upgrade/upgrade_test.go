package upgrade

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
	"holdfast/internal/operate"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
	"holdfast/internal/server"
)

// asReplica in the environment makes this test binary a replica: of the version, with the feature and over the bucket that its JSON says.
const asReplica = "HOLDFAST_TEST_AS_REPLICA"

// program is a version of the product, as a test makes one.
type program struct {
	Version string
	Feature string // of the storage format, beside those of every version; "": none
	Bucket  bucket
}

// bucket is what of an s3.Config can be written down.
type bucket struct {
	Endpoint, Region, Bucket, Root, AccessKey, Secret string
	PathStyle                                         *bool
	Insecure                                          bool
}

func bucketOf(c s3.Config) bucket {
	return bucket{c.Endpoint, c.Region, c.Bucket, c.RootDirectory, c.AccessKey, string(c.SecretKey), c.ForcePathStyle, c.Insecure}
}

func (b bucket) config() s3.Config {
	return s3.Config{
		Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, RootDirectory: b.Root, AccessKey: b.AccessKey, SecretKey: s3.Secret(b.Secret),
		ForcePathStyle: b.PathStyle, Insecure: b.Insecure,
	}
}

func (p program) config() server.Config {
	store := p.Bucket.config()
	cfg := server.Config{
		Version: p.Version, Features: format.Features(), Address: "127.0.0.1:0", DrainTimeout: 5 * time.Second,
		Storage: server.Storage{S3: &store, Collect: server.Collection{Enabled: true, Interval: time.Hour}},
	}
	if p.Feature != "" {
		cfg.Features = append(cfg.Features, format.Feature{Name: p.Feature, Since: "v2.0.0"})
	}
	return cfg
}

func TestMain(m *testing.M) {
	text := os.Getenv(asReplica)
	if text == "" {
		os.Exit(m.Run())
	}
	var p program
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := server.Run(ctx, p.config(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), func(a net.Addr) { fmt.Println(a) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// replica is a process that serves.
type replica struct {
	cmd    *exec.Cmd
	url    string
	stderr bytes.Buffer
	ended  chan struct{}
}

func (p program) start(t *testing.T) *replica {
	t.Helper()
	r := p.launch(t)
	if r.url == "" {
		<-r.ended
		t.Fatalf("%s did not start: %s", p.Version, r.stderr.String())
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		resp, err := http.Get(r.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return r
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %v", p.Version, err)
		}
		time.Sleep(50 * time.Millisecond) // it is asked, not waited for
	}
}

// launch starts a process; without a URL it ended before it listened.
func (p program) launch(t *testing.T) *replica {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{cmd: exec.CommandContext(t.Context(), self), ended: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), asReplica+"="+string(text))
	r.cmd.Stderr = &r.stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); <-r.ended })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "" {
		r.url = "http://" + strings.TrimSpace(line)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait() // its code says it
	}()
	return r
}

func (r *replica) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-r.ended
}

func send(t *testing.T, method, url, token, body string, want int) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s %v", method, url, resp.StatusCode, want, text, err)
	}
	return string(text), resp.Header
}

// do is a command of a version.
func (p program) do(t *testing.T, r operate.Request) (code int, out string, err error) {
	t.Helper()
	var text bytes.Buffer
	code, err = server.Operate(t.Context(), p.config(), r, slog.New(slog.DiscardHandler), &text, nil)
	return code, text.String(), err
}

func (p program) enable(t *testing.T) (int, error) {
	t.Helper()
	code, _, err := p.do(t, operate.Request{Do: operate.Upgrade, Enable: "dense"})
	return code, err
}

// TestTwoVersions: an old and a new replica serve one bucket, an upload goes from one to the other while the secret is replaced, and a feature that only
// the new one knows is not enabled before the old one has ended; then the old version does not start.
func TestTwoVersions(t *testing.T) {
	s3test.Each(t, func(t *testing.T, store s3test.Server) {
		at := bucketOf(store.Config(t))
		v1, v2 := program{Version: "v1.0.0", Bucket: at}, program{Version: "v2.0.0", Feature: "dense", Bucket: at}
		old, newer := v1.start(t), v2.start(t)

		_, h := send(t, http.MethodPost, old.url+"/v2/a/blobs/uploads/", "", "", http.StatusAccepted)
		_, h = send(t, http.MethodPatch, newer.url+h.Get("Location"), "", "one half, ", http.StatusAccepted)
		if code, out, err := v2.do(t, operate.Request{Do: operate.Rotate}); code != operate.Well || err != nil {
			t.Fatalf("rotate: %d %s %v", code, out, err)
		}
		_, h = send(t, http.MethodPatch, old.url+h.Get("Location"), "", "and the other", http.StatusAccepted)
		whole := "one half, and the other"
		send(t, http.MethodPut, newer.url+h.Get("Location")+"?digest="+digest.FromString(whole).String(), "", "", http.StatusCreated)
		if got, _ := send(t, http.MethodGet, old.url+"/v2/a/blobs/"+digest.FromString(whole).String(), "", "", http.StatusOK); got != whole {
			t.Errorf("the old one serves %q", got)
		}

		// The command has signed under the new secret, which neither replica was told of by then.
		_, token, err := v2.do(t, operate.Request{Do: operate.Token, For: "admin", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*replica{old, newer} {
			text, _ := send(t, http.MethodGet, r.url+"/v2/_holdfast/cluster", strings.TrimSpace(token), "", http.StatusOK)
			var v cluster.View
			if err := json.Unmarshal([]byte(text), &v); err != nil || len(v.Replicas) != 2 || v.Stores[0].SelfTest == nil || v.Stores[0].SelfTest.Tier == "" {
				t.Errorf("%v in %s", err, text)
			}
		}

		if code, err := v1.enable(t); code != operate.Misused || err == nil {
			t.Errorf("the old version enables it: %d %v", code, err)
		}
		if code, err := v2.enable(t); code != operate.Unavailable || err == nil || !strings.Contains(err.Error(), "of version v1.0.0 runs") {
			t.Errorf("while the old one runs: %d %v", code, err)
		}
		second := v1.start(t) // the refusal keeps nobody from starting
		second.signal(t, os.Kill)
		old.signal(t, syscall.SIGTERM)
		code, err := v2.enable(t)
		// The one that was killed is in the way, and also the one that ended where the store was too slow for it to take its heartbeat back.
		if code != operate.Unavailable || err == nil || !strings.Contains(err.Error(), "v1.0.0") {
			t.Errorf("after one ended and one was killed: %d %v", code, err)
		}
		forget(t, at.config())
		if code, err := v2.enable(t); code != operate.Well || err != nil {
			t.Fatalf("when the killed one is forgotten: %d %v", code, err)
		}
		refused := v1.launch(t)
		<-refused.ended
		if refused.url != "" || !strings.Contains(refused.stderr.String(), "dense (known since v2.0.0)") {
			t.Errorf("the old version starts at %q: %s", refused.url, refused.stderr.String())
		}
		v2.start(t)
		send(t, http.MethodPost, newer.url+"/v2/a/blobs/uploads/", "", "", http.StatusAccepted)

		look, done, err := server.OpenLook(t.Context(), v2.config(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = done() }()
		v, err := look(t.Context())
		if err != nil || len(v.Replicas) != 2 || !v.Stores[0].Features[0].Enabled {
			t.Errorf("from the bucket itself: %v %+v", err, v)
		}
	})
}

// forget removes the heartbeats of version v1.0.0, as ten minutes would do.
func forget(t *testing.T, bucket s3.Config) {
	t.Helper()
	client, err := s3.New(t.Context(), bucket, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for entry, err := range client.List(t.Context(), string(format.PrefixReplicas), "") {
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := client.GetValue(t.Context(), entry.Key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(value, []byte(`"version":"v1.0.0"`)) {
			if err := client.Delete(t.Context(), entry.Key, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}
