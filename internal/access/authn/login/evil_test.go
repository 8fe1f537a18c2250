package login_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access/authn/login"
)

// liar is an OpenID provider that answers as it is told.
type liar struct {
	*httptest.Server
	key, other *rsa.PrivateKey
	nonce      string
	claims     func(map[string]any)
	info       func(map[string]any)
	sign       func(l *liar, header, payload map[string]any) string
	keysStatus int
	tokenCode  int
	tokenError string
	verifier   string // that was sent for the code
	redirects  bool
}

func part(v any) string {
	raw, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func signed(key *rsa.PrivateKey, header, payload map[string]any) string {
	text := part(header) + "." + part(payload)
	sum := sha256.Sum256([]byte(text))
	sig, _ := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func honest(l *liar, header, payload map[string]any) string { return signed(l.key, header, payload) }

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newLiar(t *testing.T, key, other *rsa.PrivateKey) *liar {
	t.Helper()
	l := &liar{key: key, other: other, sign: honest, keysStatus: http.StatusOK, tokenCode: http.StatusOK}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	discovery := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"issuer": l.URL, "authorization_endpoint": l.URL + "/auth", "token_endpoint": l.URL + "/token", "jwks_uri": l.URL + "/keys",
			"userinfo_endpoint": l.URL + "/info", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}, "end_session_endpoint": "javascript:alert(1)"})
	}
	mux.HandleFunc("/elsewhere", discovery)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		if l.redirects {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		discovery(w, r)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, l.keysStatus, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(l.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(l.key.E)).Bytes())}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		l.verifier = r.FormValue("code_verifier")
		if l.tokenCode != http.StatusOK {
			answer(w, l.tokenCode, map[string]any{"error": l.tokenError, "error_description": "canary"})
			return
		}
		payload := map[string]any{"iss": l.URL, "aud": "registry", "sub": "1", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": l.nonce}
		if l.claims != nil {
			l.claims(payload)
		}
		answer(w, http.StatusOK, map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": l.sign(l, map[string]any{"alg": "RS256", "kid": "1"}, payload)})
	})
	mux.HandleFunc("/info", func(w http.ResponseWriter, r *http.Request) {
		info := map[string]any{"sub": "1", "email": "alice@example.com", "groups": "ops"}
		if l.info != nil {
			l.info(info)
		}
		answer(w, http.StatusOK, info)
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

// TestLiar: what a provider answers is believed only where it proves it. A refusal is 401, what could not be asked 503, and neither makes a session.
func TestLiar(t *testing.T) {
	key, other := newKey(t), newKey(t)
	claim := func(name string, value any) func(*liar) {
		return func(l *liar) {
			l.claims = func(c map[string]any) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			}
		}
	}
	info := func(name string, value any) func(*liar) {
		return func(l *liar) { l.info = func(c map[string]any) { c[name] = value } }
	}
	sign := func(f func(l *liar, header, payload map[string]any) string) func(*liar) {
		return func(l *liar) { l.sign = f }
	}
	token := func(status int, text string) func(*liar) {
		return func(l *liar) { l.tokenCode, l.tokenError = status, text }
	}
	for name, tt := range map[string]struct {
		lie  func(*liar)
		want int
	}{
		"honest":           {func(*liar) {}, http.StatusCreated},
		"verified":         {info("email_verified", true), http.StatusCreated},
		"nonce":            {claim("nonce", "other"), http.StatusUnauthorized},
		"no nonce":         {claim("nonce", nil), http.StatusUnauthorized},
		"audience":         {claim("aud", []string{"other"}), http.StatusUnauthorized},
		"issuer":           {claim("iss", "https://evil.example.com"), http.StatusUnauthorized},
		"expired":          {claim("exp", time.Now().Add(-time.Hour).Unix()), http.StatusUnauthorized},
		"not yet":          {claim("nbf", time.Now().Add(time.Hour).Unix()), http.StatusUnauthorized},
		"at_hash":          {claim("at_hash", "AAAA"), http.StatusUnauthorized},
		"another user":     {info("sub", "2"), http.StatusUnauthorized},
		"not verified":     {info("email_verified", false), http.StatusUnauthorized},
		"not verified, as": {info("email_verified", "false"), http.StatusUnauthorized},
		"token says so":    {claim("email_verified", false), http.StatusUnauthorized},
		"no address":       {info("email", ""), http.StatusUnauthorized},
		"address is list":  {info("email", []string{"alice"}), http.StatusServiceUnavailable},
		"long name":        {info("email", strings.Repeat("a", 300)), http.StatusUnauthorized},
		"line in the name": {info("email", "alice\r\nSet-Cookie: a=b"), http.StatusUnauthorized},
		"spaces":           {info("email", " alice "), http.StatusUnauthorized},
		"another key":      {sign(func(l *liar, h, p map[string]any) string { return signed(l.other, h, p) }), http.StatusUnauthorized},
		"unknown key": {sign(func(l *liar, h, p map[string]any) string {
			h["kid"] = "2"
			return signed(l.other, h, p)
		}), http.StatusUnauthorized},
		"alg none": {sign(func(_ *liar, h, p map[string]any) string {
			h["alg"] = "none"
			return part(h) + "." + part(p) + "."
		}), http.StatusUnauthorized},
		"alg HS256 with the public key": {sign(func(l *liar, h, p map[string]any) string {
			h["alg"] = "HS256"
			text := part(h) + "." + part(p)
			mac := hmac.New(sha256.New, l.key.N.Bytes())
			_, _ = mac.Write([]byte(text))
			return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		}), http.StatusUnauthorized},
		"not a token":     {sign(func(*liar, map[string]any, map[string]any) string { return "a.b" }), http.StatusUnauthorized},
		"no token":        {sign(func(*liar, map[string]any, map[string]any) string { return "" }), http.StatusUnauthorized},
		"used code":       {token(http.StatusBadRequest, "invalid_grant"), http.StatusUnauthorized},
		"our credentials": {token(http.StatusUnauthorized, "invalid_client"), http.StatusServiceUnavailable},
		"its error":       {token(http.StatusInternalServerError, ""), http.StatusServiceUnavailable},
		"long error":      {info("email", []string{strings.Repeat("canary ", 100)}), http.StatusServiceUnavailable},
		"no keys":         {func(l *liar) { l.keysStatus = http.StatusInternalServerError }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t, key, other)
			tt.lie(l)
			h := newHouse(t, 1, login.Config{Providers: map[string]login.Provider{"oidc": {ClientID: "registry", ClientSecret: "s", Issuer: l.URL}}})
			b := h.browser()
			resp, _ := h.do(b, 0, http.MethodGet, "/zot/auth/login?provider=oidc")
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil || resp.StatusCode != http.StatusFound {
				t.Fatal(resp.Status, err)
			}
			l.nonce = to.Query().Get("nonce")
			resp, body := h.do(b, 0, http.MethodGet, "/zot/auth/callback/oidc?code=c&state="+to.Query().Get("state"))
			if resp.StatusCode != tt.want || strings.Contains(body, "canary") || strings.Contains(h.log.String(), "canary") {
				t.Errorf("%s, want %d: %s\n%s", resp.Status, tt.want, body, h.log)
			}
			want := map[bool]string{true: "login alice@example.com ops", false: "other"}[tt.want == http.StatusCreated]
			if got := h.who(b, 0); got != want {
				t.Errorf("%s", got)
			}
			if sum := sha256.Sum256([]byte(l.verifier)); base64.RawURLEncoding.EncodeToString(sum[:]) != to.Query().Get("code_challenge") {
				t.Error("the code was not given with its verifier")
			}
			if tt.want == http.StatusCreated {
				if resp, body := h.do(b, 0, http.MethodPost, "/zot/auth/logout"); resp.StatusCode != http.StatusOK || strings.TrimSpace(body) != "{}" {
					t.Errorf("logout: %s %s", resp.Status, body)
				}
			}
		})
	}
	t.Run("redirect", func(t *testing.T) {
		l := newLiar(t, key, other)
		l.redirects = true
		h := newHouse(t, 1, login.Config{Providers: map[string]login.Provider{"oidc": {ClientID: "registry", Issuer: l.URL}}})
		if resp, _ := h.do(h.browser(), 0, http.MethodGet, "/zot/auth/login?provider=oidc"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Error(resp.Status)
		}
	})
}

func TestProblems(t *testing.T) {
	for name, cfg := range map[string]login.Config{
		"no URL":    {},
		"slash":     {BaseURL: "https://a/"},
		"scheme":    {BaseURL: "ftp://a"},
		"client":    {BaseURL: "https://a", Providers: map[string]login.Provider{"oidc": {Issuer: "https://b"}}},
		"issuer":    {BaseURL: "https://a", Providers: map[string]login.Provider{"oidc": {ClientID: "a"}}},
		"no issuer": {BaseURL: "https://a", Providers: map[string]login.Provider{"oidc": {ClientID: "a", Issuer: "b"}}},
		"name":      {BaseURL: "https://a", Providers: map[string]login.Provider{"a/b": {ClientID: "a", Issuer: "https://b"}}},
		"token URL": {BaseURL: "https://a", Providers: map[string]login.Provider{"github": {GitHub: true, ClientID: "a", TokenURL: "b"}}},
	} {
		if _, err := login.New(cfg); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	if _, err := login.New(login.Config{BaseURL: "https://a:8443", Providers: map[string]login.Provider{"github": {GitHub: true, ClientID: "a"}}}); err != nil {
		t.Error(err)
	}
}
