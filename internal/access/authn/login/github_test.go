package login_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"holdfast/internal/access/authn/login"
)

// TestGitHub: at a server of ours that answers as GitHub's documentation says; GitHub itself cannot be asked here.
func TestGitHub(t *testing.T) {
	for name, tt := range map[string]struct {
		username, emails string
		denied           string // a path that the token is not good for
		status           int
		want             string
	}{
		"address":      {emails: `[{"email":"x@example.com","verified":true},{"email":"alice@example.com","primary":true,"verified":true}]`, status: http.StatusCreated, want: "login alice@example.com acme,acme/builders,org1,org2"},
		"login":        {username: "login", emails: `[]`, status: http.StatusCreated, want: "login alice acme,acme/builders,org1,org2"},
		"not verified": {emails: `[{"email":"alice@example.com","primary":true,"verified":false}]`, status: http.StatusUnauthorized, want: "other"},
		"public":       {username: "email", emails: `[]`, status: http.StatusUnauthorized, want: "other"},
		"no orgs":      {username: "login", emails: `[]`, denied: "/user/orgs", status: http.StatusCreated, want: "login alice acme/builders"},
		"no teams":     {username: "login", emails: `[]`, denied: "/user/teams", status: http.StatusCreated, want: "login alice acme,org1,org2"},
		"no user":      {username: "login", emails: `[]`, denied: "/user", status: http.StatusServiceUnavailable, want: "other"},
		"no addresses": {emails: `[]`, denied: "/user/emails", status: http.StatusServiceUnavailable, want: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.FormValue("code") != "good" || r.FormValue("client_secret") != "secret" || r.FormValue("code_verifier") == "" {
					_, _ = fmt.Fprint(w, `{"error":"bad_verification_code"}`) // with status 200, as GitHub does
					return
				}
				_, _ = fmt.Fprint(w, `{"access_token":"access","token_type":"bearer","scope":"read:org"}`)
			})
			answer := func(path string, pages ...string) {
				mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
					if path == tt.denied || r.Header.Get("Authorization") != "Bearer access" {
						w.WriteHeader(http.StatusForbidden)
						return
					}
					page := 1
					_, _ = fmt.Sscan(r.FormValue("page"), &page)
					if page < len(pages) {
						w.Header().Set("Link", fmt.Sprintf(`<http://elsewhere.example.com/?page=%d>; rel="next"`, page+1))
					}
					_ = json.NewEncoder(w).Encode(json.RawMessage(pages[page-1]))
				})
			}
			answer("/user", `{"login":"alice","email":"public@example.com","id":1}`)
			answer("/user/emails", tt.emails)
			answer("/user/orgs", `[{"login":"org1"},{"login":"acme"}]`, `[{"login":"org2"}]`)
			answer("/user/teams", `[{"slug":"builders","organization":{"login":"acme"}},{"slug":"odd"}]`)
			s := httptest.NewServer(mux)
			t.Cleanup(s.Close)
			h := newHouse(t, 2, login.Config{Providers: map[string]login.Provider{"github": {GitHub: true, ClientID: "registry", ClientSecret: "secret", Issuer: s.URL,
				AuthURL: s.URL + "/authorize", TokenURL: s.URL + "/token", Username: tt.username}}})
			for code, want := range map[string]string{"good": tt.want, "bad": "other"} {
				b := h.browser()
				resp, _ := h.do(b, 0, http.MethodGet, "/zot/auth/login?provider=github")
				to, err := url.Parse(resp.Header.Get("Location"))
				if err != nil || to.Path != "/authorize" || to.Query().Get("scope") != "read:org user:email" {
					t.Fatalf("%s %v", to, err)
				}
				resp, _ = h.do(b, 1, http.MethodGet, "/zot/auth/callback/github?code="+code+"&state="+to.Query().Get("state"))
				status := map[string]int{"good": tt.status, "bad": http.StatusUnauthorized}[code]
				if got := h.who(b, 0); got != want || resp.StatusCode != status {
					t.Errorf("%s: %s %s, want %d %s\n%s", code, resp.Status, got, status, want, h.log)
				}
			}
		})
	}
}
