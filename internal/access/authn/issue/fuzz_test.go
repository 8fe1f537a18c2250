package issue_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/issue"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/format"
	recordmem "holdfast/internal/record/mem"
)

// fixed is a secret that is always the same.
type fixed struct{}

func (fixed) Keys(string) [][]byte { return [][]byte{bytes.Repeat([]byte{7}, 32)} }

func (fixed) RereadSecret(context.Context) error { return nil }

func fuzzed(f *testing.F) *issue.Issuer {
	f.Helper()
	at := time.Unix(1_800_000_000, 0)
	records := recordmem.New(recordmem.Config{Clock: func() time.Time { return at }})
	u := &users{of: map[string]string{"alice": "a-secret"}}
	i, err := issue.New(issue.Config{
		Service: "registry", Secret: fixed{}, Now: records.Now, Revoked: revoke.New(format.Store{Records: records, Ages: format.DefaultAges()}),
		Check: u.check, Standing: u, Keys: u, Allowed: rules, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	return i
}

// FuzzJWT: whatever is sent for a token, it is none, unless we signed it, to the letter. (Another process of the fuzzer gives others.)
func FuzzJWT(f *testing.F) {
	i := fuzzed(f)
	give := func(name, query string) string {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/auth/token?"+query, nil)
		if name != "" {
			r.SetBasicAuth(name, "a-secret")
		}
		i.ServeHTTP(w, r)
		var out struct{ Token string }
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Token == "" {
			f.Fatalf("%d %s", w.Code, w.Body)
		}
		return out.Token
	}
	for _, token := range []string{give("alice", "scope=repository:team/a:pull"), give("", "scope=repository:pub/a:pull")} {
		f.Add(token)
		parts := strings.Split(token, ".")
		f.Add(parts[0] + "." + parts[1] + ".")
		f.Add(parts[0] + "." + parts[1] + "." + parts[2][1:])
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"x","typ":"JWT"}`)) + "." + parts[1] + ".")
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := i.Verify(t.Context(), token)
		switch {
		case err == nil && !signed(token):
			t.Errorf("%q is for %+v", token, id)
		case err != nil && !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther):
			t.Errorf("%q: %v", token, err)
		}
	})
}

// signed verifies a token without any library for tokens.
func signed(token string) bool {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.Strict().DecodeString(token[i+1:])
	public := ed25519.NewKeyFromSeed(fixed{}.Keys("")[0]).Public().(ed25519.PublicKey)
	return i > 0 && err == nil && ed25519.Verify(public, []byte(token[:i]), signature)
}

// FuzzTokenRequest: whatever is sent, it has an answer that can be read, and a token of somebody is only for who shows his password.
func FuzzTokenRequest(f *testing.F) {
	i := fuzzed(f)
	f.Add("GET", "service=registry&scope=repository:team/a:pull&offline_token=true", "Basic YWxpY2U6YS1zZWNyZXQ=", "", "")
	f.Add("GET", "scope=repository:pub/a:pull", "", "", "")
	f.Add("POST", "", "", "application/x-www-form-urlencoded", "grant_type=password&username=alice&password=a-secret&scope=registry:catalog:*&access_type=offline")
	f.Add("POST", "", "", "application/x-www-form-urlencoded; charset=utf-8", "grant_type=refresh_token&refresh_token=a.b.c")
	f.Add("POST", "", "Basic Og==", "application/x-www-form-urlencoded", "id_token=eyJ.x.y")
	f.Fuzz(func(t *testing.T, method, query, authorization, kind, body string) {
		if method != http.MethodGet && method != http.MethodPost {
			method = http.MethodPost
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "/auth/token", strings.NewReader(body))
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		var out struct{ Token string }
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || (w.Code == http.StatusOK) != (out.Token != "") || w.Code >= 500 {
			t.Fatalf("%d %q: %v", w.Code, w.Body, err)
		}
		if out.Token == "" {
			return
		}
		id, err := i.Verify(t.Context(), out.Token)
		if err != nil {
			t.Fatalf("a token that was given: %v", err)
		}
		name, password, ok := r.BasicAuth()
		if shown := ok && name == "alice" && password == "a-secret"; !id.Anonymous() && !shown && !strings.Contains(body, "secret") && !strings.Contains(body, "%") {
			t.Errorf("%+v for %q %q %q", id, query, authorization, body)
		}
	})
}
