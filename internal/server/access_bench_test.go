package server

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/access/policy"
	"holdfast/internal/config"
)

// BenchmarkManifest is a GET of a manifest over HTTP by eight clients, without any access control, by nobody under rules, and with a password, a token and an API key.
func BenchmarkManifest(b *testing.B) {
	path := filepath.Join(b.TempDir(), "htpasswd")
	passwords(b, path, "ann:a")
	rules := policy.Config{Given: true, Authenticates: true, Repositories: map[string]policy.Repository{
		"pub/**": {Anonymous: []string{"read"}, Default: []string{"read", "create", "update"}},
	}}
	quiet := func(c *Config) { c.Observe.Requests = slog.LevelDebug - 4 } // no line for each request
	open := runServer(b, quiet)
	closed := runServer(b, func(c *Config) {
		c.Auth = config.Auth{Given: true, Htpasswd: path, APIKey: true, Token: config.Token{Enabled: true}}
		c.Rules = rules
		quiet(c)
	})
	const repo = "/v2/pub/app"
	for _, r := range []*running{open, closed} {
		config := `{}`
		send(b, http.MethodPost, r.url+repo+"/blobs/uploads/?digest="+string(digest.FromString(config)), as("ann:a"), config)
		send(b, http.MethodPut, r.url+repo+"/manifests/v1", as("ann:a"), `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b","digest":"`+string(digest.FromString(config))+`","size":2},"layers":[]}`)
	}
	var token struct{ Token string }
	var key struct{ APIKey string }
	for _, one := range []struct {
		text string
		to   any
	}{
		{send(b, http.MethodGet, closed.url+"/auth/token?service=holdfast&scope=repository:pub/app:pull", as("ann:a"), ""), &token},
		{send(b, http.MethodPost, closed.url+"/zot/auth/apikey", as("ann:a"), `{"label":"b"}`), &key},
	} {
		if err := json.Unmarshal([]byte(one.text), one.to); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		url    string
		header http.Header
	}{
		{"open", open.url, nil}, {"nobody", closed.url, nil}, {"password", closed.url, as("ann:a")},
		{"token", closed.url, http.Header{"Authorization": {"Bearer " + token.Token}}}, {"key", closed.url, as("ann:" + key.APIKey)},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.url+repo+"/manifests/v1", http.NoBody)
					if err != nil {
						b.Error(err)
						return
					}
					if c.header != nil {
						req.Header = c.header.Clone()
					}
					resp, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						b.Error(resp.Status)
						return
					}
				}
			})
		})
	}
}

// send makes a request that must be answered with 2xx, and returns the answer's body.
func send(t testing.TB, method, url string, header http.Header, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s %s %v", method, url, resp.Status, text.String(), err)
	}
	return text.String()
}
