package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/api"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// closedGate refuses every push before its bytes are there.
type closedGate struct{ registry.Registry }

func (closedGate) MayPush(context.Context, oci.Repository, registry.Push) error {
	return oci.Errorf(oci.Denied, "not yours")
}

// untouched is a body that must not be read.
type untouched struct{ *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.Error("the body is read of a push that is refused anyway")
	return 0, io.EOF
}

// A client that waits for leave to send a manifest which it may not push gets none.
func TestRefusedPushIsNotRead(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/acme/app/manifests/v1", untouched{t})
	r.ContentLength = 1000
	r.Header.Set("Expect", "100-continue")
	w := httptest.NewRecorder()
	api.New(closedGate{}, api.Config{}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s, want 403", w.Code, w.Body)
	}
}

// Of large manifests a few are in memory at once; the others wait for their turn, and all are served.
func TestLargeManifestsTakeTurns(t *testing.T) {
	s := open(t, options{})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			body := image + strings.Repeat(" ", 1<<20+i)
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/manifests/large%d", app, i), strings.NewReader(body)))
			if w.Code != http.StatusCreated {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			got := httptest.NewRecorder()
			s.handler.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/manifests/large%d", app, i), http.NoBody))
			if got.Body.String() != body {
				t.Errorf("large%d has %d bytes, want %d", i, got.Body.Len(), len(body))
			}
		})
	}
	all.Wait()
}

// A large manifest whose body breaks off where JSON ends is none, and gives its turn back.
func TestLargeManifestThatBreaksOff(t *testing.T) {
	s := open(t, options{})
	for range 3 {
		whole := strings.NewReader(image + strings.Repeat(" ", 100<<10))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, app+"/manifests/broken", io.MultiReader(whole, broken{}))
		r.ContentLength = 200 << 10
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "broke off") {
			t.Errorf("%d %s, want 400", w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, app+"/manifests/broken", http.NoBody))
	if w.Code != http.StatusNotFound {
		t.Errorf("%d: it was stored", w.Code)
	}
}

// broken is the end of a body that has none, as net/http gives it.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
