package issue_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/access/authn"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestWhatATokenHolds: what was asked for and is allowed, and never more; what is not allowed is no error.
func TestWhatATokenHolds(t *testing.T) {
	s := newSite(t)
	for _, tc := range []struct {
		who, password string
		scopes        []string
		repo          string
		want          string
		catalog       bool
	}{
		{"alice", "a-secret", []string{"repository:team/app:pull,push"}, "team/app", "read create update", false},
		{"alice", "a-secret", []string{"repository:team/app:pull"}, "team/app", "read", false},
		{"alice", "a-secret", []string{"repository:team/app:*"}, "team/app", "read create update delete", false},
		{"alice", "a-secret", []string{"repository:team/app:pull repository:team/app:delete"}, "team/app", "read delete", false},
		{"alice", "a-secret", []string{"repository:team/app:pull"}, "team/other", "", false},
		{"alice", "a-secret", []string{"repository:priv/x:pull,push"}, "priv/x", "", false},
		{"alice", "a-secret", []string{"registry:catalog:*"}, "team/app", "", true},
		{"alice", "a-secret", nil, "team/app", "", false},
		{"bob", "b-secret", []string{"repository:team/app:pull,push,delete"}, "team/app", "read create update", false}, // the rules, which are asked again, have no update
		{"robot", "zak_1", []string{"repository:team/app:pull,push"}, "team/app", "read", false},                       // an API key for pulls
		{"robot", "zak_1", []string{"registry:catalog:*"}, "team/app", "", false},
		{"", "", []string{"repository:pub/x:pull,push"}, "pub/x", "read", false},
		{"", "", []string{"repository:team/app:pull"}, "team/app", "", false},
	} {
		var query []string
		for _, one := range tc.scopes {
			query = append(query, "scope="+strings.ReplaceAll(one, " ", "%20"))
		}
		a := s.get(0, tc.who, tc.password, query...)
		if a.status != http.StatusOK || a.Token == "" || a.Token != a.Access || a.In != 300 || a.Again != "" {
			t.Fatalf("%s: %d %s", tc.who, a.status, a.body)
		}
		id, err := s.verify(1, a.Token)
		if err != nil || id.Name != tc.who || id.Anonymous() != (tc.who == "") || id.Limits == nil || id.Limits.Rules {
			t.Fatalf("%s: %+v, %v", tc.who, id, err)
		}
		if got := may(id, oci.Repository(tc.repo)); got != tc.want || id.Limits.Catalog != tc.catalog {
			t.Errorf("%s asks for %q: has %q in %s, catalog %t", tc.who, tc.scopes, got, tc.repo, id.Limits.Catalog)
		}
	}
}

// TestRefused: who shows credentials that are not good, or something else than a request for a token, is told so, and has no token; never one for nobody.
func TestRefused(t *testing.T) {
	s := newSite(t)
	req := func(method, target, body string, headers ...string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return r
	}
	const form, kind = "application/x-www-form-urlencoded", "Content-Type"
	for name, tc := range map[string]struct {
		r      *http.Request
		status int
	}{
		"a wrong password":         {req("GET", "/auth/token", "", "Authorization", "Basic YWxpY2U6eA=="), 401},
		"a name that nobody has":   {req("GET", "/auth/token", "", "Authorization", "Basic eDp4"), 401},
		"no name":                  {req("GET", "/auth/token", "", "Authorization", "Basic Og=="), 401},
		"no base64":                {req("GET", "/auth/token", "", "Authorization", "Basic ???"), 401},
		"another scheme":           {req("GET", "/auth/token", "", "Authorization", "Bearer x"), 401},
		"an empty header":          {req("GET", "/auth/token", "", "Authorization", ""), 401},
		"two headers":              {req("GET", "/auth/token", "", "Authorization", "Basic YWxpY2U6YS1zZWNyZXQ=", "Authorization", "Basic eDp4"), 401},
		"another service":          {req("GET", "/auth/token?service=other", ""), 400},
		"two services":             {req("GET", "/auth/token?service=registry&service=other", ""), 400},
		"a query that is none":     {req("GET", "/auth/token?a=%zz", ""), 400},
		"too many scopes":          {req("GET", "/auth/token?"+strings.Repeat("scope=repository:a:pull&", 65), ""), 400},
		"another method":           {req("PUT", "/auth/token", ""), 405},
		"a form of another type":   {req("POST", "/auth/token", `{}`, kind, "application/json"), 400},
		"a form without end":       {req("POST", "/auth/token", "x="+strings.Repeat("y", 70<<10), kind, form), 413},
		"no grant":                 {req("POST", "/auth/token", "username=alice&password=a-secret", kind, form), 400},
		"a grant that is unknown":  {req("POST", "/auth/token", "grant_type=magic", kind, form), 400},
		"a form with two names":    {req("POST", "/auth/token", "grant_type=password&username=alice&username=bob&password=a-secret", kind, form), 400},
		"no password":              {req("POST", "/auth/token", "grant_type=password&username=alice", kind, form), 400},
		"a wrong one in a form":    {req("POST", "/auth/token", "grant_type=password&username=alice&password=x", kind, form), 401},
		"credentials twice":        {req("POST", "/auth/token", "grant_type=password&username=bob&password=b-secret", kind, form, "Authorization", "Basic YWxpY2U6YS1zZWNyZXQ="), 400},
		"no refresh token":         {req("POST", "/auth/token", "grant_type=refresh_token", kind, form), 400},
		"a bad refresh token":      {req("POST", "/auth/token", "grant_type=refresh_token&refresh_token=a.b.c", kind, form), 401},
		"a bad identity token":     {req("POST", "/auth/token", "id_token=eyJ.bad.x", kind, form), 401},
		"an unknown one":           {req("POST", "/auth/token", "id_token=eyJ.other.x", kind, form), 401},
		"a bad one as a password":  {req("GET", "/auth/token", "", "Authorization", basic("x", "eyJ.bad.x")), 401},
		"credentials in the query": {req("GET", "/auth/token?account=alice&username=alice&password=a-secret&scope=repository:team/app:pull", ""), 200},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(0, tc.r)
			if a.status != tc.status {
				t.Fatalf("%d, want %d: %s", a.status, tc.status, a.body)
			}
			if (a.header.Get("WWW-Authenticate") != "") != (tc.status == 401) {
				t.Errorf("the challenge: %q", a.header.Get("WWW-Authenticate"))
			}
			if tc.status == 200 {
				if id, err := s.verify(0, a.Token); err != nil || !id.Anonymous() || may(id, "team/app") != "" {
					t.Errorf("it is for %+v, %v", id, err)
				}
			}
		})
	}
}

// TestBackendsThatAreGone: a password that cannot be checked is neither good nor wrong.
func TestBackendsThatAreGone(t *testing.T) {
	s := newSite(t)
	token := s.get(0, "alice", "a-secret").Token
	s.users.fail(record.ErrUnavailable)
	if a := s.get(0, "alice", "a-secret"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, err := s.verify(0, token); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("a token: %v", err)
	}
	if a := s.get(0, "", ""); a.status != http.StatusOK {
		t.Errorf("nobody: %d", a.status)
	}
}

// TestAUserWhoComesMeanwhile: a token that is bound to no password is given to nobody who has one.
func TestAUserWhoComesMeanwhile(t *testing.T) {
	s := newSite(t)
	s.users.hidden = 1
	if a := s.get(0, "alice", "a-secret"); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.users.hidden = 2 // a way without fingerprints
	if a := s.get(0, "alice", "a-secret"); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestOAuth2: a password by POST, a refresh token for it, and access tokens for that, at any replica; the refresh token is none for access, nor the other way round.
func TestOAuth2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		a := s.post(0, "grant_type", "password", "username", "alice", "password", "a-secret", "service", "registry", "client_id", "x", "access_type", "offline",
			"scope", "repository:team/app:pull,push repository:priv/x:pull")
		if a.status != http.StatusOK || a.Access == "" || a.Again == "" || a.Scope != "repository:team/app:pull,push" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if b := s.get(1, "alice", "a-secret", "offline_token=true"); b.Again == "" {
			t.Errorf("GET: %s", b.body)
		}
		if b := s.get(1, "", "", "offline_token=true"); b.Again != "" {
			t.Errorf("a refresh token for nobody: %s", b.body)
		}
		if b := s.get(1, "robot", "zak_1", "offline_token=true"); b.Again != "" {
			t.Errorf("a refresh token for an API key: %s", b.body)
		}
		if _, err := s.verify(0, a.Again); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("a refresh token for access: %v", err)
		}
		if b := s.post(0, "grant_type", "refresh_token", "refresh_token", a.Access); b.status != http.StatusUnauthorized {
			t.Errorf("an access token for another: %d", b.status)
		}
		time.Sleep(20 * 24 * time.Hour)
		if _, err := s.verify(0, a.Access); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("an old token: %v", err)
		}
		b := s.post(1, "grant_type", "refresh_token", "refresh_token", a.Again, "scope", "repository:team/app:pull", "access_type", "offline")
		if b.status != http.StatusOK || b.Again != a.Again {
			t.Fatalf("%d %s", b.status, b.body)
		}
		if id, err := s.verify(0, b.Access); err != nil || id.Name != "alice" || may(id, "team/app") != "read" || len(id.Groups) != 1 {
			t.Errorf("%+v, %v", id, err)
		}
		time.Sleep(11 * 24 * time.Hour)
		if b := s.post(1, "grant_type", "refresh_token", "refresh_token", a.Again); b.status != http.StatusUnauthorized {
			t.Errorf("after a month: %d", b.status)
		}
		synctest.Wait()
	})
}

// TestExchange: who shows a token of a workload has it back, as zot answers.
func TestExchange(t *testing.T) {
	s := newSite(t)
	for _, a := range []answer{s.get(0, "any", s.workload.good), s.post(0, "id_token", s.workload.good), s.post(0, "grant_type", "password", "username", "x", "password", s.workload.good)} {
		if a.status != http.StatusOK || a.Token != s.workload.good || a.Again != "" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// TestNoTokenForAToken: a chain of passwords that takes our tokens for passwords does not let them live for ever.
func TestNoTokenForAToken(t *testing.T) {
	s := newSite(t)
	s.users.tokens = s.issuers[0]
	if a := s.get(0, "x", s.get(0, "alice", "a-secret").Token); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
}
