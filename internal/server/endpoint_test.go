package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/grant"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	recordmem "holdfast/internal/record/mem"
)

func (h *house) token(ttl time.Duration) string {
	return "Bearer " + grant.Make(h.registry().MAC, grant.Admin, h.s.stores[0].records.Now().Add(ttl))
}

func (h *house) ask(ctx context.Context, ending <-chan struct{}, method, url, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.s.handler(ending).ServeHTTP(w, r)
	return w
}

func TestEndpoint(t *testing.T) {
	h := inMemory(t, Storage{Collect: Collection{Enabled: true}})
	h.blob("a", "deleted")
	if err := h.registry().DeleteBlob(t.Context(), "a", digest.FromString("deleted")); err != nil {
		t.Fatal(err)
	}
	good := h.token(time.Minute)
	foreign := inMemory(t, Storage{}).token(time.Minute)
	for _, row := range []struct {
		name, method, query, authorization, body string
		status                                   int
		says                                     string
	}{
		{"no token", "POST", "", "", "", 401, `"code":"UNAUTHORIZED"`},
		{"no token, status", "GET", "", "", "", 401, `"code":"UNAUTHORIZED"`},
		{"no token, unknown method", "PUT", "", "", "", 401, `"code":"UNAUTHORIZED"`},
		{"another scheme", "POST", "", strings.Replace(good, "Bearer", "Basic", 1), "", 401, `"code":"UNAUTHORIZED"`},
		{"another cluster's", "POST", "", foreign, "", 401, `"code":"UNAUTHORIZED"`},
		{"expired", "POST", "", h.token(0), "", 401, `"code":"UNAUTHORIZED"`},
		{"unknown method", "PUT", "", good, "", 405, `"code":"UNSUPPORTED"`},
		{"a body", "POST", "", good, "full=true", 400, "has no body"},
		{"not a bool", "POST", "?full=maybe", good, "", 400, "full=true"},
		{"an unknown parameter", "POST", "?dryrun=true", good, "", 400, "dry-run=true"},
		{"an unknown store", "POST", "?store=/b", good, "", 400, "/b"},
		{"no repository", "POST", "?repository=A", good, "", 400, "lower case"},
		{"nothing yet", "GET", "", good, "", 200, `"enabled": true`},
		{"dry run", "POST", "?dry-run=true&full=true", good, "", 200, `"dryRun": true`},
		{"lower-case scheme", "POST", "?full=true", strings.Replace(good, "Bearer", "bearer", 1), "", 200, `"freedBytes": 7`},
		{"what changed", "POST", "", good, "", 200, `"full": false`},
		{"one repository", "POST", "?repository=a", good, "", 200, `"repositories": 1`},
		{"status", "GET", "", good, "", 200, `"last": {`},
		{"status, HEAD", "HEAD", "", good, "", 200, ""},
	} {
		w := h.ask(t.Context(), nil, row.method, gcPath+row.query, row.authorization, row.body)
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.says) {
			t.Errorf("%s: %d, want %d and %q: %s", row.name, w.Code, row.status, row.says, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (w.Code == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", row.name, challenge)
		}
		if row.method != "HEAD" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON: %s", row.name, w.Body)
		}
	}
	if lines := h.log.having("Bearer"); len(lines) > 0 {
		t.Errorf("the log has a token: %s", lines)
	}
}

// TestEndpointIsNoRepository: what begins with an underscore cannot be pushed to.
func TestEndpointIsNoRepository(t *testing.T) {
	h := inMemory(t, Storage{})
	if _, err := oci.ParseRepository("_holdfast"); err == nil {
		t.Error("_holdfast is a repository's name")
	}
	for _, path := range []string{"_holdfast/manifests/gc", "_holdfast/blobs/uploads/", "_holdfast/gc/tags/list", "_holdfast/"} {
		if w := h.ask(t.Context(), nil, http.MethodGet, "/v2/"+path, "", ""); w.Code != http.StatusBadRequest && w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestEndpointWhileAnotherIsAtIt(t *testing.T) {
	h := inMemory(t, Storage{Collect: Collection{Enabled: true}})
	if _, err := lease.Take(t.Context(), h.s.stores[0].format(), collect.LeaseName, "replica-2:7", 0); err != nil {
		t.Fatal(err)
	}
	w := h.ask(t.Context(), nil, http.MethodPost, gcPath, h.token(time.Minute), "")
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "replica-2:7") || !strings.Contains(w.Body.String(), `"errors":[`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	w = h.ask(t.Context(), nil, http.MethodGet, gcPath, h.token(time.Minute), "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"holder": "replica-2:7"`) {
		t.Errorf("the status: %d: %s", w.Code, w.Body)
	}
}

func TestEndpointBeforeTheStoreIsOpen(t *testing.T) {
	h := inMemory(t, Storage{})
	h.s.api.Store(nil)
	if w := h.ask(t.Context(), nil, http.MethodPost, gcPath, h.token(time.Minute), ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// TestLongPass: an answer that is long in coming keeps the connection alive, and is JSON at the end.
func TestLongPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := &stuck{Store: recordmem.New(recordmem.Config{})}
		h := newHouse(t, records, datamem.New(datamem.Config{}), Storage{Collect: Collection{Enabled: true, RequestsPerSecond: 1}})
		for _, content := range []string{"a", "b", "c", "d"} {
			h.blob("a", content)
			if err := h.registry().DeleteBlob(t.Context(), "a", digest.FromString(content)); err != nil {
				t.Fatal(err)
			}
		}
		w := h.ask(t.Context(), nil, http.MethodPost, gcPath+"?full=true", h.token(time.Minute), "")
		if text := w.Body.String(); w.Code != http.StatusOK || !strings.HasPrefix(text, "\n\n") || !json.Valid([]byte(text)) || !w.Flushed {
			t.Errorf("%d: %q", w.Code, text)
		}
	})
}

// TestPassEndsWithTheServer: a server that ends, or a client that leaves, ends the pass, and the store's lease is free for the next.
func TestPassEndsWithTheServer(t *testing.T) {
	for _, who := range []string{"server", "client"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{}), Storage{Collect: Collection{Enabled: true, RequestsPerSecond: 1}})
				for _, content := range []string{"a", "b", "c", "d"} {
					h.blob("a", content)
				}
				ctx, leave := context.WithCancel(t.Context())
				ending := make(chan struct{})
				answered := make(chan *httptest.ResponseRecorder)
				go func() { answered <- h.ask(ctx, ending, http.MethodPost, gcPath+"?full=true", h.token(time.Minute), "") }()
				time.Sleep(3 * time.Second)
				if who == "server" {
					close(ending)
				} else {
					leave()
				}
				defer leave()
				began := time.Now()
				if w := <-answered; w.Code != http.StatusServiceUnavailable {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
				if seen, err := lease.Look(t.Context(), h.s.stores[0].format(), collect.LeaseName, 0); err != nil || seen.Held {
					t.Errorf("the lease: %+v %v", seen, err)
				}
			})
		})
	}
}
