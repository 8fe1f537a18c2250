package login_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access/authn/login"
	"holdfast/internal/format"
)

const alice = "login alice@example.com devs,ops"

// TestLogin: begun at one replica, ended at another, valid at a third, and ended there for all.
func TestLogin(t *testing.T) {
	h, _ := real(t, 3, nil)
	b := h.browser()
	if got := h.who(b, 0); got != "other" {
		t.Fatalf("before the login: %s", got)
	}
	h.login(b, 0, 1, "oidc", "alice")
	if !strings.Contains(h.log.String(), "began: login alice@example.com oidc") {
		t.Errorf("nobody was told who has logged in: %s", h.log)
	}
	kept := cookies(t, b)
	if kept["login"] != "" || kept["user"] != "alice@example.com" {
		t.Errorf("cookies %q", kept)
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(kept["session"]); strings.Contains(string(raw), "alice") || len(kept["session"]) > 300 {
		t.Errorf("the session's cookie shows something: %q", raw)
	}
	for i := range h.replicas {
		if got := h.who(b, i); got != alice {
			t.Errorf("replica %d: %s", i, got)
		}
	}
	thief := h.browser()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	thief.Jar.SetCookies(u, b.Jar.Cookies(u))
	resp, body := h.do(b, 2, http.MethodPost, "/zot/auth/logout", "X-ZOT-API-CLIENT", "zot-ui")
	var out struct{ EndSessionURL string }
	if err := json.Unmarshal([]byte(body), &out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("logout: %s %s %v", resp.Status, body, err)
	}
	end, err := url.Parse(out.EndSessionURL)
	if err != nil || end.Path != "/session/end" || end.Query().Get("client_id") != "registry" || end.Query().Get("post_logout_redirect_uri") != base+"/login" {
		t.Errorf("the provider's own logout: %s", out.EndSessionURL)
	}
	if resp, _, err := b.Do(t.Context(), http.MethodGet, out.EndSessionURL, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the provider does not know it: %v %v", resp, err)
	}
	if kept := cookies(t, b); len(kept) > 0 {
		t.Errorf("cookies after the logout: %q", kept)
	}
	if got := h.who(thief, 2); got != "wrong" {
		t.Errorf("at the replica of the logout, with the old cookie: %s", got)
	}
	begin := time.Now()
	for i := range 2 {
		for h.who(thief, i) != "wrong" {
			if time.Since(begin) > 4*time.Second {
				t.Fatalf("replica %d still knows a session that ended", i)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if resp, body := h.do(thief, 0, http.MethodPost, "/zot/auth/logout"); resp.StatusCode != http.StatusOK || strings.TrimSpace(body) != "{}" {
		t.Errorf("a second logout: %s %s", resp.Status, body)
	}
	if text := h.log.String(); strings.Contains(text, "canary") || strings.Contains(text, kept["session"]) || !strings.Contains(text, "somebody logged in") {
		t.Errorf("the log: %s", text)
	}
}

// TestCookies: scripts cannot read them, other sites cannot send them, and over HTTPS no other host can set them.
// TestProviderIsGone: a session ends with its provider, when the configuration has it no more.
func TestProviderIsGone(t *testing.T) {
	h, s := real(t, 1, nil)
	b := h.browser()
	h.login(b, 0, 0, "oidc", "alice")
	one := h.replicas[0]
	for name, want := range map[string]string{"oidc": alice, "gitlab": "wrong"} {
		var err error
		one.logins, err = login.New(login.Config{
			Providers: map[string]login.Provider{name: {ClientID: "registry", Issuer: s.Issuer}}, BaseURL: base,
			Store: format.Store{Records: one.records, Ages: format.DefaultAges()}, Secrets: one.registry, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.who(b, 0); got != want {
			t.Errorf("with %s alone: %s, want %s", name, got, want)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h, _ := real(t, 1, func(c *login.Config, _ *login.Provider) { c.Secure = secure })
		b := h.browser()
		resp, _ := h.do(b, 0, http.MethodGet, "/zot/auth/login?provider=oidc")
		set := resp.Cookies()
		name := map[bool]string{false: "login", true: "__Host-login"}[secure]
		if len(set) != 1 || set[0].Name != name || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode || set[0].Secure != secure || set[0].Path != "/" || set[0].Domain != "" || set[0].MaxAge != 600 {
			t.Errorf("%+v", set)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%v", resp.Header)
		}
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if q := to.Query(); q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) != 43 || len(q.Get("nonce")) != 43 || q.Get("redirect_uri") != base+"/zot/auth/callback/oidc" {
			t.Errorf("%s", to)
		}
		if secure { // a cookie of the name without the prefix is none
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.AddCookie(&http.Cookie{Name: "session", Value: "a"})
			if _, err := h.replicas[0].logins.Session(req); err == nil || !strings.Contains(err.Error(), "kind") {
				t.Error(err)
			}
		}
	}
}

// TestMapping: which claim is the name; and who has none, or one that nobody verified, is refused.
func TestMapping(t *testing.T) {
	h, _ := real(t, 1, func(_ *login.Config, p *login.Provider) { p.Username, p.Groups = "preferred_username", "email" })
	for person, want := range map[string]string{"alice": "login alice alice@example.com", "bob": "login bob bob@example.com", "nobody": "", "control": ""} {
		b := h.browser()
		resp, _ := h.do(b, 0, http.MethodGet, h.begin(b, 0, "oidc", person))
		if got := h.who(b, 0); want != "" && got != want || want == "" && (got != "other" || resp.StatusCode != http.StatusUnauthorized) {
			t.Errorf("%s: %s, %s", person, resp.Status, got)
		}
	}
	h, _ = real(t, 1, nil)
	for _, person := range []string{"bob", "nobody", "control"} {
		b := h.browser()
		resp, _ := h.do(b, 0, http.MethodGet, h.begin(b, 0, "oidc", person))
		if got := h.who(b, 0); got != "other" || resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Location") != "" {
			t.Errorf("%s: %s, %s", person, resp.Status, got)
		}
	}
}

// TestLife: a session ends by itself, by the store's clock, and so does a login that is under way.
func TestLife(t *testing.T) {
	h, _ := real(t, 2, nil)
	b := h.browser()
	h.login(b, 0, 1, "oidc", "alice")
	h.ahead.Add(int64(119 * time.Minute))
	for i := range h.replicas {
		if got := h.who(b, i); got != alice {
			t.Errorf("after 119 minutes: %s", got)
		}
	}
	back := h.begin(b, 0, "oidc", "alice")
	h.ahead.Add(int64(2 * time.Minute))
	if got := h.who(b, 0); got != "wrong" {
		t.Errorf("after 121 minutes: %s", got)
	}
	h.ahead.Add(int64(9 * time.Minute))
	if resp, _ := h.do(b, 1, http.MethodGet, back); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Location") != "" {
		t.Errorf("a login that took 11 minutes: %s", resp.Status)
	}
}

// TestRotation: what is under way, and sessions, outlive the cluster's secret, unless what it sealed is revoked.
func TestRotation(t *testing.T) {
	h, _ := real(t, 3, nil)
	b := h.browser()
	back := h.begin(b, 0, "oidc", "alice")
	if _, err := h.replicas[1].registry.RotateSecret(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if resp, _ := h.do(b, 1, http.MethodGet, back); resp.StatusCode != http.StatusFound {
		t.Fatalf("a login over a rotation: %s\n%s", resp.Status, h.log)
	}
	for i := range h.replicas { // those that do not know the new secret yet read it
		if got := h.who(b, i); got != alice {
			t.Errorf("replica %d: %s", i, got)
		}
	}
	if _, err := h.replicas[2].registry.RotateSecret(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := h.who(b, 2); got != alice {
		t.Errorf("after another rotation: %s", got)
	}
	if _, err := h.replicas[2].registry.RotateSecret(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := h.who(b, 2); got != "wrong" {
		t.Errorf("after a rotation that revokes: %s", got)
	}
}

// TestRefused: a way back that is not one's own.
func TestRefused(t *testing.T) {
	h, s := real(t, 2, nil)
	edit := func(back string, change func(url.Values)) string {
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		change(q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	for name, change := range map[string]func(url.Values){
		"state":        func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) },
		"no state":     func(q url.Values) { q.Del("state") },
		"two states":   func(q url.Values) { q.Add("state", q.Get("state")) },
		"code":         func(q url.Values) { q.Set("code", "nonsense") },
		"no code":      func(q url.Values) { q.Del("code") },
		"error":        func(q url.Values) { q.Set("error", "access_denied\ncanary") },
		"issuer":       func(q url.Values) { q.Set("iss", "https://evil.example.com") },
		"many codes":   func(q url.Values) { q.Add("code", q.Get("code")) },
		"other client": nil,
		"no cookie":    nil,
		"cookie":       nil,
		"provider":     nil,
		"twice":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			back := h.begin(b, 0, "oidc", "alice")
			u, err := url.Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			switch name {
			case "no cookie":
				b = h.browser()
			case "other client": // login CSRF: somebody else's way back in this browser, which has begun a login of its own
				b = h.browser()
				h.do(b, 0, http.MethodGet, "/zot/auth/login?provider=oidc")
			case "cookie":
				value := []byte(cookies(t, b)["login"])
				value[len(value)-3] ^= 1
				b.Jar.SetCookies(u, []*http.Cookie{{Name: "login", Value: string(value), Path: "/"}})
			case "provider":
				back = strings.Replace(back, "/oidc?", "/gitlab?", 1)
			case "twice":
				way := cookies(t, b)["login"]
				if resp, _ := h.do(b, 1, http.MethodGet, back); resp.StatusCode != http.StatusFound {
					t.Fatal(resp.Status)
				}
				b = h.browser()
				b.Jar.SetCookies(u, []*http.Cookie{{Name: "login", Value: way, Path: "/"}})
			default:
				back = edit(back, change)
			}
			resp, body := h.do(b, 1, http.MethodGet, back)
			if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Location") != "" || cookies(t, b)["session"] != "" || strings.Contains(body, "canary") {
				t.Errorf("%s, to %q: %s", resp.Status, resp.Header.Get("Location"), body)
			}
			if got := h.who(b, 1); got != "other" {
				t.Errorf("logged in as %s", got)
			}
		})
	}
	if resp, _ := h.do(h.browser(), 0, http.MethodGet, "/zot/auth/callback/nix?code=a&state=b"); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
	for method, path := range map[string]string{http.MethodPost: "/zot/auth/login?provider=oidc", http.MethodGet: "/zot/auth/logout", http.MethodDelete: "/zot/auth/callback/oidc"} {
		if resp, _ := h.do(h.browser(), 0, method, path); resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %s", method, path, resp.Status)
		}
	}
	_ = s
}

// TestBack: a login leads to a page of ours, or of an origin that is allowed (A52).
func TestBack(t *testing.T) {
	h, _ := real(t, 1, func(c *login.Config, _ *login.Provider) {
		c.AllowOrigins = []string{"https://ui.example.com", "http://127.0.0.1:3000/"}
	})
	for _, good := range []string{"", "/", "/home", "/home?a=b#c", "/a//b", base + "/x", "https://ui.example.com", "https://ui.example.com/a?b", "https://UI.example.com:443/", "http://127.0.0.1:3000/login"} {
		if resp, _ := h.do(h.browser(), 0, http.MethodGet, "/zot/auth/login?provider=oidc&callback_ui="+url.QueryEscape(good)); resp.StatusCode != http.StatusFound {
			t.Errorf("%q: %s", good, resp.Status)
		}
	}
	for _, bad := range []string{"//evil", "///evil", `/\evil`, `\\evil`, `/a\..\evil`, "https:evil", "https:/evil", "https:///evil", "http:evil", "https://evil", "//evil/x", "/\t/evil", "/%09/evil\n", "\thttps://evil", " //evil", "javascript:alert(1)",
		"JaVaScRiPt://ui.example.com/%0aalert(1)", "data:text/html,x", "https://ui.example.com@evil", "https://ui.example.com.evil", "https://ui.example.com:8443/", "http://ui.example.com/", "https://evil?https://ui.example.com", "https://ui.example.com\\@evil",
		"HTTPS://ui.example.com/", "evil", "home", "?a", "#a", "https://user:p@ui.example.com/", "/%2f/evil\r\nSet-Cookie: a=b", "/%5cevil", "//", "/é", strings.Repeat("/a", 2000), "ftp://ui.example.com/", "https://", "/%2fevil"} {
		resp, body := h.do(h.browser(), 0, http.MethodGet, "/zot/auth/login?provider=oidc&callback_ui="+url.QueryEscape(bad))
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || len(resp.Cookies()) > 0 || strings.Contains(body, "evil") {
			t.Errorf("%q: %s, to %q", bad, resp.Status, resp.Header.Get("Location"))
		}
	}
	for _, query := range []string{"provider=nix", "", "provider=", "provider=oidc&provider=oidc", "provider=oidc&callback_ui=%2Fa&callback_ui=%2Fb", "provider=oidc&callback_ui=%zz", "provider=oidc;callback_ui=a"} {
		if resp, _ := h.do(h.browser(), 0, http.MethodGet, "/zot/auth/login?"+query); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("%q: %s", query, resp.Status)
		}
	}
	b := h.browser()
	resp, _ := h.do(b, 0, http.MethodGet, "/zot/auth/login?provider=oidc")
	back, err := b.LogIn(t.Context(), resp.Header.Get("Location"), "alice", base+"/zot/auth/callback")
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := h.do(b, 0, http.MethodGet, back); resp.StatusCode != http.StatusCreated || resp.Header.Get("Location") != "" || body != "You are logged in.\n" {
		t.Errorf("a login that leads nowhere: %s %s", resp.Status, body)
	}
}

// TestOtherSites: what a page of another site makes a browser send changes nothing (A53).
func TestOtherSites(t *testing.T) {
	h, _ := real(t, 1, nil)
	b := h.browser()
	h.login(b, 0, 0, "oidc", "alice")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		want := map[bool]string{true: alice, false: "other"}[method == http.MethodGet || method == http.MethodHead]
		if _, got := h.do(b, 0, method, "/whoami"); got != want && method != http.MethodHead {
			t.Errorf("%s without the header: %s", method, got)
		}
		if _, got := h.do(b, 0, method, "/whoami", "X-ZOT-API-CLIENT", "zot-ui"); got != alice && method != http.MethodHead {
			t.Errorf("%s with the header: %s", method, got)
		}
		if _, got := h.do(b, 0, method, "/whoami", "X-ZOT-API-CLIENT", "other"); got != want && method != http.MethodHead {
			t.Errorf("%s with another header: %s", method, got)
		}
	}
	for _, header := range [][]string{{"Origin", "https://evil.example.com"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
		if resp, _ := h.do(b, 0, http.MethodPost, "/zot/auth/logout", header...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("a logout by %v: %s", header, resp.Status)
		}
	}
	if got := h.who(b, 0); got != alice {
		t.Errorf("another site's logout: %s", got)
	}
	if got := h.who(h.browser(), 0, "Cookie", "session="+cookies(t, b)["session"]+"; session=x"); got != "other" {
		t.Errorf("two cookies: %s", got)
	}
	reads := h.replicas[0].records.reads.Load()
	for _, cookie := range []string{"x", strings.Repeat("A", 100), strings.Repeat("A", 5000), "AQ", "%", cookies(t, b)["session"] + "A"} {
		if got := h.who(h.browser(), 0, "Cookie", "session="+cookie); got != "wrong" {
			t.Errorf("%.20q: %s", cookie, got)
		}
	}
	if n := h.replicas[0].records.reads.Load() - reads; n > 2 { // of the secret, at most one in a second
		t.Errorf("cookies that nobody made cost %d reads", n)
	}
}

// TestOutage: of the provider, and of the store.
func TestOutage(t *testing.T) {
	h, s := real(t, 2, nil)
	b := h.browser()
	h.login(b, 0, 0, "oidc", "alice")
	back := h.begin(b, 0, "oidc", "alice")
	s.Kill()
	resp, _ := h.do(b, 0, http.MethodGet, back)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a callback without the provider: %s", resp.Status)
	}
	if resp, _ := h.do(h.browser(), 1, http.MethodGet, "/zot/auth/login?provider=oidc"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Location") != "" {
		t.Errorf("a login without the provider: %s", resp.Status)
	}
	if got := h.who(b, 1); got != alice {
		t.Errorf("a session without the provider: %s", got)
	}
	h.replicas[1].records.gone.Store(true)
	if got := h.who(b, 1); got != alice {
		t.Errorf("what was read a moment ago: %s", got)
	}
	time.Sleep(2100 * time.Millisecond) // what is kept gets too old by this process's clock
	if got := h.who(b, 1); got != "unasked" {
		t.Errorf("without the store: %s", got)
	}
	if resp, _ := h.do(b, 1, http.MethodPost, "/zot/auth/logout"); resp.StatusCode != http.StatusServiceUnavailable || cookies(t, b)["session"] == "" {
		t.Errorf("a logout without the store: %s", resp.Status)
	}
	h.replicas[1].records.gone.Store(false)
	if got := h.who(b, 1); got != alice {
		t.Errorf("with the store again: %s", got)
	}
	if resp, body := h.do(b, 1, http.MethodPost, "/zot/auth/logout"); resp.StatusCode != http.StatusOK || strings.TrimSpace(body) != "{}" {
		t.Errorf("a logout without the provider: %s %s", resp.Status, body)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // what failed is not tried again at once
	fresh := h.browser()
	h.login(fresh, 1, 0, "oidc", "alice")
	back = h.begin(fresh, 0, "oidc", "alice")
	h.replicas[1].records.gone.Store(true)
	if resp, _ := h.do(fresh, 1, http.MethodGet, back); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a callback without the store: %s", resp.Status)
	}
}
