package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/redirect"
)

// signing is a data store that gives URLs.
type signing struct{ data.Store }

// PresignedURL implements data.Store.
func (signing) PresignedURL(context.Context, data.ID, time.Duration) (string, error) {
	return "https://store.example/signed", nil
}

// TestRedirectRules: who is redirected is decided by what the edge knows of the client, and by the configuration that is in force.
func TestRedirectRules(t *testing.T) {
	h := newHouse(t, recordmem.New(recordmem.Config{}), signing{datamem.New(datamem.Config{})}, Storage{RedirectRules: []redirect.Rule{
		{Header: "X-Direct", Value: "no"},
		{MinBytes: 5, Networks: []string{"198.51.100.0/24"}, Redirect: true},
		{UserAgents: []string{"containerd/*"}, Redirect: true},
	}})
	if err := h.s.openEdge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.s.edge.use(Edge{Trusted: []string{"10.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	h.image("a", "v1", "a layer")
	layer, small := "/v2/a/blobs/"+string(digest.FromString("a layer")), "/v2/a/blobs/"+string(digest.FromString("{}"))
	handler := h.s.handler(nil)
	for _, c := range []struct {
		name, do, from, headers string
		want                    int
	}{
		{"a client of the network", "GET " + layer, "198.51.100.7:1", "", 307},
		{"a small blob", "GET " + small, "198.51.100.7:1", "", 200},
		{"HEAD", "HEAD " + layer, "198.51.100.7:1", "", 200},
		{"a range", "GET " + layer, "198.51.100.7:1", "Range: bytes=0-1", 206},
		{"what the client has", "GET " + layer, "198.51.100.7:1", `If-None-Match: "` + string(digest.FromString("a layer")) + `"`, 304},
		{"a manifest", "GET /v2/a/manifests/v1", "198.51.100.7:1", "", 200},
		{"another client", "GET " + layer, "192.0.2.1:1", "", 200},
		{"another client with an agent", "GET " + small, "192.0.2.1:1", "User-Agent: containerd/2.0", 307},
		{"a client who claims to be of the network", "GET " + layer, "192.0.2.1:1", "X-Forwarded-For: 198.51.100.7", 200},
		{"one whom the proxy names", "GET " + layer, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7", 307},
		{"the proxy says no", "GET " + layer, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7\nX-Direct: no", 200},
		{"the client says no", "GET " + layer, "198.51.100.7:1", "X-Direct: no", 307},
	} {
		method, path, _ := strings.Cut(c.do, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		r.RemoteAddr = c.from
		for line := range strings.Lines(c.headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if location := w.Header().Get("Location"); w.Code != c.want || (location != "") != (c.want == 307) {
			t.Errorf("%s: %d %s, want %d", c.name, w.Code, location, c.want)
		}
	}
	next := h.s.cfg
	next.Storage.RedirectRules = nil
	if _, err := h.s.apply(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, layer, http.NoBody)
	r.RemoteAddr = "198.51.100.7:1"
	if handler.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.String() != "a layer" {
		t.Errorf("without rules: %d %s", w.Code, w.Body)
	}
}
