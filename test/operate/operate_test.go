package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	"holdfast/internal/operate"
	"holdfast/internal/s3/s3test"
	"holdfast/internal/server"
)

// replica serves until the test ends, and returns its URL.
func replica(t *testing.T, cfg server.Config) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	address := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(a net.Addr) { address <- a.String() })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("a replica ended with %v", err)
		}
	})
	select {
	case at := <-address:
		return "http://" + at
	case err := <-ended:
		ended <- nil
		t.Fatalf("a replica did not start: %v", err)
	}
	return ""
}

func send(t *testing.T, method, url, token, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/octet-stream")
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
	return string(text)
}

// waste pushes a blob and deletes it.
func waste(t *testing.T, url, content string) {
	t.Helper()
	d := string(digest.FromString(content))
	send(t, http.MethodPost, url+"/v2/a/blobs/uploads/?digest="+d, "", content, http.StatusCreated)
	send(t, http.MethodDelete, url+"/v2/a/blobs/"+d, "", "", http.StatusAccepted)
}

type reports []struct{ Report collect.Report }

func parsed(t *testing.T, text string) reports {
	t.Helper()
	var r reports
	if err := json.Unmarshal([]byte(text), &r); err != nil || len(r) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

// TestBesideReplicas: a command opens the bucket itself, and works beside two replicas that serve it; each of them takes its token and makes
// passes that the other's status knows.
func TestBesideReplicas(t *testing.T) {
	s3test.Each(t, func(t *testing.T, store s3test.Server) {
		bucket := store.Config(t)
		cfg := server.Config{
			Version: "test", Address: "127.0.0.1:0", DrainTimeout: time.Second,
			Storage: server.Storage{S3: &bucket, Collect: server.Collection{Enabled: true, Interval: 24 * time.Hour, Window: func(time.Time) bool { return false }}},
		}
		one, two := replica(t, cfg), replica(t, cfg)
		do := func(r operate.Request) (code int, out string) {
			t.Helper()
			var text bytes.Buffer
			code, err := server.Operate(t.Context(), cfg, r, slog.New(slog.DiscardHandler), &text, nil)
			if err != nil {
				t.Fatal(err)
			}
			return code, text.String()
		}
		waste(t, one, "useless")
		if _, out := do(operate.Request{Do: operate.GC, JSON: true, DryRun: true}); parsed(t, out)[0].Report.Counts[collect.KindBlobs].Found != 1 {
			t.Errorf("a dry run: %s", out)
		}
		if _, out := do(operate.Request{Do: operate.GC, JSON: true}); parsed(t, out)[0].Report.FreedBytes() != int64(len("useless")) {
			t.Errorf("a pass: %s", out)
		}
		if code, out := do(operate.Request{Do: operate.Fsck}); code != operate.Well || !strings.Contains(out, "no findings") {
			t.Errorf("fsck: code %d: %s", code, out)
		}
		if code, out := do(operate.Request{Do: operate.Scrub}); code != operate.Well {
			t.Errorf("scrub: code %d: %s", code, out)
		}
		_, token := do(operate.Request{Do: operate.Token, For: "admin", TTL: time.Minute})
		token = strings.TrimSpace(token)
		waste(t, two, "useless too")
		if out := send(t, http.MethodPost, two+"/v2/_holdfast/gc?full=true", token, "", http.StatusOK); parsed(t, out)[0].Report.FreedBytes() != int64(len("useless too")) {
			t.Errorf("a pass at the endpoint: %s", out)
		}
		if out := send(t, http.MethodGet, one+"/v2/_holdfast/gc", token, "", http.StatusOK); !strings.Contains(out, `"freedBytes": 11`) {
			t.Errorf("the other replica's status: %s", out)
		}
		send(t, http.MethodPost, one+"/v2/_holdfast/gc", "", "", http.StatusUnauthorized)
	})
}
