package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/access/policy"
	"holdfast/internal/config"
)

// post sends a form, or JSON.
func post(t *testing.T, at, kind, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestGuessesAreSeen: who guesses at the token endpoint, which nobody passes the door to, is named in the audit log and counted all the same; so is who guesses at the
// metrics, which else are quiet. What the rules deny has the right that was missing.
func TestGuessesAreSeen(t *testing.T) {
	dir := t.TempDir()
	passwords(t, filepath.Join(dir, "htpasswd"), "ann:a")
	r := runServer(t, func(c *Config) {
		c.Auth = config.Auth{Given: true, Htpasswd: filepath.Join(dir, "htpasswd"), Token: config.Token{Enabled: true}}
		c.Observe.Audit = filepath.Join(dir, "audit.log")
		c.MetricsPath = "/metrics"
		c.Rules = policy.Config{Given: true, MetricsUsers: []string{"ann"}, Repositories: map[string]policy.Repository{"**": {Default: []string{"read"}}}}
	})
	form := url.Values{"grant_type": {"password"}, "service": {service}, "username": {"ann"}, "password": {"canary"}}
	if status, body := post(t, r.url+tokenPath, "application/x-www-form-urlencoded", form.Encode(), nil); status != http.StatusUnauthorized {
		t.Fatal(status, body)
	}
	if status, body, _ := fetch(t, "GET", r.url+"/metrics", as("ann:a")); status != 200 || !strings.Contains(body, `holdfast_credentials_total{outcome="wrong",way=""} 1`) {
		t.Errorf("%d, and the metrics do not count it", status)
	}
	fetch(t, "GET", r.url+"/metrics", as("eve:canary"))
	fetch(t, "POST", r.url+"/v2/a/blobs/uploads/", as("ann:a"))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	var one, two struct{ Outcome, Claimed, Path, Repository, Action string }
	text, rest, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(text, &one); err != nil || one.Outcome != "denied" || one.Claimed != "ann" || one.Path != tokenPath || strings.Contains(string(text), "canary") {
		t.Errorf("%s: %v", text, err)
	}
	lines := bytes.Split(bytes.TrimSpace(rest), []byte("\n"))
	if err := json.Unmarshal(lines[0], &one); err != nil || one.Claimed != "eve" || one.Path != "/metrics" {
		t.Errorf("a guess at the metrics: %s, %v", lines[0], err)
	}
	if err := json.Unmarshal(lines[1], &two); err != nil || len(lines) != 2 || two.Outcome != "denied" || two.Repository != "a" || two.Action != "create" {
		t.Errorf("a denial: %s, %v", rest, err)
	}
}

// TestWayThatIsGone: what was given to whom a way found ends with the way, when the configuration has it no more.
func TestWayThatIsGone(t *testing.T) {
	dir := t.TempDir()
	passwords(t, filepath.Join(dir, "htpasswd"), "ann:a")
	auth := config.Auth{Given: true, Htpasswd: filepath.Join(dir, "htpasswd"), APIKey: true, Token: config.Token{Enabled: true}}
	h := inMemory(t, Storage{})
	h.s.cfg.Auth = auth
	h.reload()
	var key struct{ APIKey string }
	h.json(http.MethodPost, apiKeyPath, as("ann:a").Get("Authorization"), `{"label":"ci"}`, &key)
	var given struct{ Token string }
	h.json(http.MethodGet, tokenPath+"?service="+service+"&scope=registry:catalog:*", as("ann:a").Get("Authorization"), "", &given)
	status := func(authorization string) int {
		return h.ask(t.Context(), nil, http.MethodGet, "/v2/_catalog", authorization, "").Code
	}
	for _, what := range []string{key.APIKey, given.Token} {
		if got := status("Bearer " + what); got != http.StatusOK {
			t.Fatal(got)
		}
	}
	h.s.cfg.Auth.Htpasswd = ""
	h.reload()
	for _, what := range []string{"Bearer " + key.APIKey, as("ann:" + key.APIKey).Get("Authorization"), "Bearer " + given.Token} {
		if got := status(what); got != http.StatusUnauthorized {
			t.Errorf("%.10s: %d, want 401", what, got)
		}
	}
	h.s.cfg.Auth = auth
	h.reload()
	if got := status("Bearer " + key.APIKey); got != http.StatusOK {
		t.Errorf("with the way again: %d", got)
	}
}

// TestReloadUnderRequests: requests that came by the door of before are served, while it is taken down. It is for the race detector.
func TestReloadUnderRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	passwords(t, path, "ann:a")
	h := inMemory(t, Storage{})
	h.s.cfg.Auth = config.Auth{
		Given: true, Htpasswd: path, APIKey: true, Token: config.Token{Enabled: true},
		LDAP: &config.LDAP{Address: "127.0.0.1", Port: 1, Insecure: true, BaseDN: "dc=x", UserAttribute: "uid"},
	}
	h.reload()
	handler := h.s.handler(nil)
	ask := func(method, path, authorization, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 20 {
				var key struct{ APIKey string }
				w := ask(http.MethodPost, apiKeyPath, as("ann:a").Get("Authorization"), `{"label":"ci"}`)
				if err := json.Unmarshal(w.Body.Bytes(), &key); err != nil {
					t.Error(w.Code, w.Body)
				}
				if w := ask(http.MethodGet, "/v2/", "Bearer "+key.APIKey, ""); w.Code != http.StatusOK {
					t.Error(w.Code, w.Body)
				}
				ask(http.MethodGet, tokenPath, as("ann:a").Get("Authorization"), "")
			}
		})
	}
	for range 200 {
		h.reload()
	}
	all.Wait()
}

// TestReloadLeavesNothingOpen: a server that asks for certificates goes on with its listener when the file has no TLS any more, and so with who may come in.
func TestReloadLeavesNothingOpen(t *testing.T) {
	h := inMemory(t, Storage{})
	h.s.cfg.Edge.TLS.Cert, h.s.cfg.Edge.TLS.CA, h.s.cfg.Rules.Authenticates = "cert.pem", "ca.pem", true
	if _, err := h.s.apply(t.Context(), Config{Rules: policy.Config{}}); err != nil {
		t.Fatal(err)
	}
	if got := h.ask(t.Context(), nil, http.MethodGet, "/v2/_catalog", "", "").Code; got != http.StatusUnauthorized {
		t.Errorf("%d, want 401", got)
	}
}

// TestBadFileOfBefore: that a file of passwords has a mistake is not told of a configuration that has none.
func TestBadFileOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	passwords(t, path, "ann:a")
	h := inMemory(t, Storage{})
	h.s.cfg.Auth = config.Auth{Given: true, Htpasswd: path}
	h.reload()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !h.s.badFile.Load(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody saw that the file is gone")
		}
	}
	h.s.cfg.Auth.Htpasswd = ""
	h.reload()
	if h.s.badFile.Load() {
		t.Error("the file that nobody reads is told to be bad")
	}
}

// reload goes by the configuration that the house has now.
func (h *house) reload() {
	h.t.Helper()
	if _, err := h.s.apply(h.t.Context(), h.s.cfg); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) json(method, path, authorization, body string, into any) {
	h.t.Helper()
	w := h.ask(h.t.Context(), nil, method, path, authorization, body)
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code >= http.StatusBadRequest {
		h.t.Fatal(w.Code, w.Body, err)
	}
}
