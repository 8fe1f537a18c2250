package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/oauth2"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

// Paths are those that Logins serves. A callback's has the provider's name after it.
const (
	PathLogin    = "/zot/auth/login"
	PathCallback = "/zot/auth/callback/"
	PathLogout   = "/zot/auth/logout"
)

// Logins serves logins and logouts, and knows sessions. Safe for concurrent use; there is nothing to close.
type Logins struct {
	cfg       Config
	box       box
	providers map[string]provider
	seen      *lru.Cache[string, seen] // sessions that were read lately
	mux       *http.ServeMux
}

var _ authn.Sessions = (*Logins)(nil)

// provider is one way to find out who somebody is.
type provider interface {
	// authURL is where the browser goes.
	authURL(ctx context.Context, w way) (string, error)
	// identify asks who somebody is who came back with a code. Errors: errRefused; anything else is a provider that could not be asked.
	identify(ctx context.Context, w way, code string) (person, error)
	// endURL is where a browser ends its session with the provider; "" where there is none.
	endURL(ctx context.Context, back string) (string, error)
	// checkIssuer reports whether a callback may name this issuer (RFC 9207); "" is none.
	checkIssuer(issuer string) bool
}

// person is whom a provider knows.
type person struct {
	name   string
	groups []string
}

// way is what is remembered of a login until the browser comes back, in a sealed cookie.
type way struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE (RFC 7636)
	Back     string    `json:"b"`
	Until    time.Time `json:"u"`
}

const (
	purposeWay = "way"
	maxSeen    = 8192
)

// New checks the configuration. It asks no provider: one that is down does not keep a replica from its start.
func New(cfg Config) (*Logins, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l := &Logins{cfg: cfg, box: box{cfg.Secrets}, providers: map[string]provider{}, mux: http.NewServeMux()}
	l.seen, _ = lru.New[string, seen](maxSeen) // its only error is a size below 1
	client := newClient(cfg.Transport)
	for name, p := range cfg.Providers {
		redirect := cfg.BaseURL + PathCallback + name
		if p.GitHub {
			l.providers[name] = newGitHub(p, redirect, client)
		} else {
			l.providers[name] = newOpenID(p, redirect, client)
		}
	}
	l.mux.HandleFunc("GET "+PathLogin, l.login)
	l.mux.HandleFunc("GET "+PathCallback+"{provider}", l.callback)
	l.mux.HandleFunc("POST "+PathLogout, l.logout)
	return l, nil
}

// ServeHTTP implements http.Handler for PathLogin, PathLogout, and what is below PathCallback.
func (l *Logins) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // a callback's URL has a code in it
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	l.mux.ServeHTTP(w, r)
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// login sends a browser to a provider. It writes nothing.
func (l *Logins) login(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["provider"]) > 1 || len(query["callback_ui"]) > 1 {
		say(w, http.StatusBadRequest, "The parameters are not good.")
		return
	}
	name := query.Get("provider")
	p := l.providers[name]
	if p == nil {
		say(w, http.StatusBadRequest, "There is no such provider.")
		return
	}
	back := query.Get("callback_ui")
	if !checkBack(back, slices.Concat(l.cfg.AllowOrigins, []string{l.cfg.BaseURL})) {
		say(w, http.StatusBadRequest, "callback_ui leads to another site.")
		return
	}
	on := way{Provider: name, State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Back: back, Until: l.cfg.Store.Records.Now().Add(loginTime)}
	ctx, cancel := context.WithTimeout(r.Context(), providerTime)
	defer cancel()
	to, err := p.authURL(ctx, on)
	if err != nil {
		l.fail(w, r, name, err)
		return
	}
	cookie, err := l.box.seal(purposeWay, on)
	if err != nil {
		l.fail(w, r, name, err)
		return
	}
	l.setCookie(w, cookieWay, cookie, loginTime)
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

// callback is where the provider sends the browser back.
func (l *Logins) callback(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("provider")
	p := l.providers[name]
	if p == nil {
		say(w, http.StatusNotFound, "There is no such provider.")
		return
	}
	on, err := l.wayBack(r, name)
	if err == nil {
		l.dropCookie(w, cookieWay)
		query := r.URL.Query()
		if !p.checkIssuer(query.Get("iss")) {
			err = refused("the way back is from another issuer")
		} else if problem := query.Get("error"); problem != "" {
			err = refused("the provider says %.100q", problem)
		}
	}
	if err != nil {
		l.fail(w, r, name, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), providerTime)
	defer cancel()
	who, err := p.identify(ctx, on, r.URL.Query().Get("code"))
	if err == nil {
		err = checkName(who.name)
	}
	if err == nil {
		err = l.begin(r.Context(), w, name, who)
	}
	if err != nil {
		l.fail(w, r, name, err)
		return
	}
	l.cfg.Log.InfoContext(r.Context(), "somebody logged in", "user", who.name, "provider", name, "groups", len(who.groups))
	if l.cfg.Began != nil {
		l.cfg.Began(r, access.Identity{Name: who.name, Groups: who.groups, Way: access.Login}, name)
	}
	if on.Back == "" {
		say(w, http.StatusCreated, "You are logged in.")
		return
	}
	w.Header().Set("Location", on.Back)
	w.WriteHeader(http.StatusFound)
}

// wayBack finds the login that a callback belongs to: the browser that began it has the cookie, and the provider was given its state.
func (l *Logins) wayBack(r *http.Request, name string) (way, error) {
	var on way
	cookie := l.cookie(r, cookieWay)
	if cookie == "" {
		return way{}, refused("there is no login under way in this browser")
	}
	opened, err := l.box.open(r.Context(), purposeWay, cookie, &on)
	query := r.URL.Query()
	switch {
	case err != nil:
		return way{}, err
	case !opened:
		return way{}, refused("the login's cookie is not one of ours")
	case l.cfg.Store.Records.Now().After(on.Until):
		return way{}, refused("the login took too long")
	case on.Provider != name:
		return way{}, refused("the login was begun with another provider")
	case len(query["state"]) != 1 || len(query["code"]) > 1 || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(on.State)) != 1:
		return way{}, refused("the way back belongs to another login")
	}
	return on, nil
}

// fail answers with an error; what it is about is for the log.
func (l *Logins) fail(w http.ResponseWriter, r *http.Request, provider string, err error) {
	if errors.Is(err, errRefused) {
		l.cfg.Log.WarnContext(r.Context(), "a login was refused", "provider", provider, "err", err)
		say(w, http.StatusUnauthorized, "The login did not succeed. Begin it again.")
		return
	}
	if r.Context().Err() == nil { // else nobody waits for it
		l.cfg.Log.ErrorContext(r.Context(), "a login could not be made", "provider", provider, "err", err)
	}
	w.Header().Set("Retry-After", "5")
	say(w, http.StatusServiceUnavailable, "The login cannot be made now. Try again.")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a client that left
}
