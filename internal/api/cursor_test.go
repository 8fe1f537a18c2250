package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/api"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// walk pushes tags, of those names that can be some, and follows the list's links.
func walk(t *testing.T, r registry.Registry, names []string, n int) {
	t.Helper()
	seed(t, r)
	want := []string{"v1", "v2"} // of the seed
	for _, name := range names[:min(len(names), 40)] {
		tag, err := oci.ParseTag(name)
		if err != nil {
			continue
		}
		if _, err := r.PushManifest(t.Context(), "acme/app", registry.Push{Body: []byte(image), Tags: []oci.Tag{tag}}); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	h := api.New(r, api.Config{})
	var got []string
	for next, pages := fmt.Sprintf("%s/tags/list?n=%d", app, n), 0; next != ""; pages++ {
		if pages > len(want)+1 {
			t.Fatalf("the pages have no end: %v", got)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, next, http.NoBody))
		var page struct{ Tags []string }
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(page.Tags) > n {
			t.Fatalf("%s: %d %s %v", next, w.Code, w.Body, err)
		}
		got = append(got, page.Tags...)
		next, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
