package logins

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"holdfast/test/provider"
)

// The registry as the provider knows it.
const (
	clientID     = "registry"
	clientSecret = "secret-of-the-registry"
	// elsewhere is where a job that logs in by itself is sent back to; nobody listens there.
	elsewhere = "http://127.0.0.1:9/callback"
)

// provide starts a provider that knows the site's people.
func (s *site) provide() {
	s.t.Helper()
	known := map[string]map[string]any{}
	for _, name := range s.people {
		known[name] = map[string]any{"email": name + "@example.com", "email_verified": true, "preferred_username": name}
	}
	var err error
	s.provider, err = provider.Start(s.t.Context(), provider.Options{
		ClientID: clientID, ClientSecret: clientSecret, People: known, RedirectURLs: []string{s.base + "/zot/auth/callback/oidc", elsewhere}, LogoutURLs: []string{s.base + "/login"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.provider.Kill)
}

// idToken is an identity token of the provider, of the flow with a code and PKCE.
func (s *site) idToken(t *testing.T, person string) string {
	t.Helper()
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	from := s.provider.Issuer + "/auth?" + url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {elsewhere}, "state": {"any"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	back, err := provider.NewBrowser(nil).LogIn(t.Context(), from, person, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {elsewhere}, "code_verifier": {verifier}}
	a := ask(t, http.MethodPost, s.provider.Issuer+"/token", form.Encode(),
		append(basic(clientID, clientSecret), "Content-Type", "application/x-www-form-urlencoded")...)
	var out struct {
		Token string `json:"id_token"`
	}
	if a.into(t, &out); out.Token == "" {
		t.Fatalf("the provider answers %s", a)
	}
	return out.Token
}
