package server

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"holdfast/internal/config"
)

func passwords(t testing.TB, path string, people ...string) {
	t.Helper()
	var text strings.Builder
	for _, p := range people {
		name, password, _ := strings.Cut(p, ":")
		h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(name + ":" + string(h) + "\n")
	}
	if err := os.WriteFile(path+".new", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func as(credentials string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}}
}

// TestDoor: whoever has no password gets no answer from the registry, but is told how to get in; health is for everybody; who is taken out of the file
// is out within seconds.
func TestDoor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	passwords(t, path, "ann:a", "bob:b")
	r := runServer(t, func(c *Config) {
		c.Auth = config.Auth{Given: true, Realm: "the house", Htpasswd: path}
		c.MetricsPath = "/metrics"
	})
	for _, c := range []struct {
		method, path string
		header       http.Header
		status       int
		says         string
	}{
		{"GET", "/v2/", nil, 401, "UNAUTHORIZED"},
		{"GET", "/v2/", as("ann:a"), 200, "{}"},
		{"GET", "/v2/", as("ann:b"), 401, "bad credentials"},
		{"GET", "/v2/", as("zoe:a"), 401, "bad credentials"},
		{"HEAD", "/v2/a/manifests/v1", as("ann:b"), 401, ""},
		{"GET", "/v2/a/manifests/v1", as("bob:b"), 404, "MANIFEST_UNKNOWN"},
		{"PUT", "/v2/a/manifests/v1", as("bob:wrong"), 401, "UNAUTHORIZED"},
		{"GET", "/v2/a/manifests/v1", nil, 401, "UNAUTHORIZED"},
		{"POST", "/v2/a/blobs/uploads/", nil, 401, "UNAUTHORIZED"},
		{"GET", "/v2/_catalog", nil, 401, "UNAUTHORIZED"},
		{"GET", "/metrics", nil, 401, "UNAUTHORIZED"},
		{"GET", "/metrics", as("bob:b"), 200, "holdfast_"},
		{"GET", "/livez", nil, 200, "alive"},
		{"GET", "/readyz", as("bob:wrong"), 200, "ready"},
	} {
		status, body, header := fetch(t, c.method, r.url+c.path, c.header)
		challenge := header.Get("WWW-Authenticate")
		if status != c.status || !strings.Contains(body, c.says) || (challenge == `Basic realm="the house", charset="UTF-8"`) != (status == 401) {
			t.Errorf("%s %s %v: %d %s %q, want %d %s", c.method, c.path, c.header, status, body, challenge, c.status, c.says)
		}
	}
	_, scraped, _ := fetch(t, "GET", r.url+"/metrics", as("bob:b"))
	for _, want := range []string{`holdfast_credentials_total{outcome="good",way="htpasswd"} `, `holdfast_credentials_total{outcome="wrong",way=""} `, "holdfast_password_file_good 1"} {
		if !strings.Contains(scraped, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	passwords(t, path, "ann:c")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) { // of the file system's clock
		old, _, _ := fetch(t, "GET", r.url+"/v2/", as("ann:a"))
		gone, _, _ := fetch(t, "GET", r.url+"/v2/", as("bob:b"))
		if old == 401 && gone == 401 || old == 429 || gone == 429 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("20 s after the file was changed: %d for the old password, %d for who is gone", old, gone)
		}
	}
	if status, _, _ := fetch(t, "GET", r.url+"/v2/", as("ann:c")); status != 200 {
		t.Errorf("the new password: %d", status)
	}
	for _, line := range r.log.having("") {
		if strings.Contains(line, as("ann:a").Get("Authorization")[6:]) || strings.Contains(line, "$2a$") {
			t.Errorf("the log has a secret: %s", line)
		}
	}
}

// TestDoorRefuses: a server whose access control cannot be set up does not start.
func TestDoorRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	cfg := Config{Version: "test", Storage: Storage{Dir: t.TempDir()}, Address: "127.0.0.1:0", Auth: config.Auth{Given: true, Htpasswd: path}}
	err := Run(context.Background(), cfg, slog.New(slog.DiscardHandler), nil)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("without the file: %v", err)
	}
}
