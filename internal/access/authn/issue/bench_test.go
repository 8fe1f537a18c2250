package issue_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkTokens is what a token costs a request; and what it costs to give one.
func BenchmarkTokens(b *testing.B) {
	s := newSite(b)
	token := s.get(0, "alice", "a-secret", "scope=repository:team/app:pull").Token
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.issuers[0].Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("give", func(b *testing.B) {
		for b.Loop() {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/auth/token?scope=repository:pub/x:pull", nil)
			s.issuers[0].ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Fatal(w.Code)
			}
		}
	})
}
