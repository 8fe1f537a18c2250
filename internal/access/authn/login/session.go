package login

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/format"
)

// The cookies. Over HTTPS their names have a prefix by which browsers take them from this host alone, and from no other below the same domain.
const (
	cookieWay     = "login"
	cookieSession = "session"
	cookieUser    = "user" // the name, for pages to show: it proves nothing
	hostPrefix    = "__Host-"
)

// A page of another origin cannot send this header with cookies: a browser asks first whether it may (CORS). zot's user interface sends it.
const (
	clientHeader = "X-ZOT-API-CLIENT"
	clientValue  = "zot-ui"
)

const purposeSession = "session"

// ticket is what a browser has of a session.
type ticket struct {
	ID    string    `json:"i"`
	Until time.Time `json:"u"`
}

// seen is a session as it was read at a time, by this process's monotonic clock.
type seen struct {
	login format.Stored[format.Login]
	at    time.Time
}

// begin makes a session. When the answer is lost there may be one that nobody can use; it ends by itself.
func (l *Logins) begin(ctx context.Context, w http.ResponseWriter, provider string, who person) error {
	now := l.cfg.Store.Records.Now().UTC().Truncate(time.Millisecond)
	life := min(lifetime, l.cfg.Store.Ages.Session) // not longer than what the cluster's secret signed is good for
	t := ticket{ID: format.RandomID(), Until: now.Add(life)}
	head := format.Login{Name: who.name, Groups: who.groups, Provider: provider, Since: now, Until: t.Until}
	head.State = format.Live
	cookie, err := l.box.seal(purposeSession, t)
	if err != nil {
		return err
	}
	if _, err := format.Write(ctx, l.cfg.Store, format.LoginKey(t.ID), format.Stored[format.Login]{}, head, nil, false); err != nil {
		return fmt.Errorf("login: begin a session: %w", err)
	}
	l.setCookie(w, cookieSession, cookie, life)
	http.SetCookie(w, &http.Cookie{Name: cookieUser, Value: who.name, Path: "/", MaxAge: int(life / time.Second), Secure: l.cfg.Secure, SameSite: http.SameSiteLaxMode}) //nolint:gosec // pages read it
	return nil
}

// Session implements authn.Sessions. A session ends by itself after two hours, and by a logout at any replica, of which this one learns within 2 s.
// Without the header that pages of ours send, the cookie counts for GET and HEAD only: these change nothing, and what they answer no page of another
// origin can read; anything else could be a form on such a page.
// Errors: authn.ErrOther, authn.ErrWrong; those of the store, when it cannot be asked and was not within the last 2 s.
func (l *Logins) Session(r *http.Request) (access.Identity, error) {
	cookie := l.cookie(r, cookieSession)
	if cookie == "" {
		return access.Identity{}, authn.ErrOther
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !ofOurPages(r) {
		return access.Identity{}, fmt.Errorf("login: a session without the header %s is good for reading alone: %w", clientHeader, authn.ErrOther)
	}
	s, err := l.read(r.Context(), cookie)
	if err != nil {
		return access.Identity{}, err
	}
	if l.providers[s.Head.Provider] == nil {
		return access.Identity{}, fmt.Errorf("login: the session is of a provider that is not configured any more: %w", authn.ErrWrong)
	}
	if l.cfg.Revoked != nil {
		revoked, err := l.cfg.Revoked(r.Context(), s.Head.Name, s.Head.Since)
		if err != nil {
			return access.Identity{}, fmt.Errorf("login: look whether a session is revoked: %w", err)
		}
		if revoked {
			return access.Identity{}, fmt.Errorf("login: the session is revoked: %w", authn.ErrWrong)
		}
	}
	return access.Identity{Name: s.Head.Name, Groups: s.Head.Groups, Way: access.Login}, nil
}

func ofOurPages(r *http.Request) bool { return r.Header.Get(clientHeader) == clientValue }

// read returns the session of a cookie, as the store had it at most sessionCache ago.
func (l *Logins) read(ctx context.Context, cookie string) (format.Stored[format.Login], error) {
	var none format.Stored[format.Login]
	t, err := l.ticket(ctx, cookie)
	if err != nil {
		return none, err
	}
	found, fresh := l.seen.Get(t.ID)
	if !fresh || time.Since(found.at) >= sessionCache {
		begin := time.Now()
		s, err := format.Read[format.Login](ctx, l.cfg.Store, format.LoginKey(t.ID))
		if err != nil {
			return none, fmt.Errorf("login: read a session: %w", err)
		}
		found = seen{s, begin}
		l.seen.Add(t.ID, found)
	}
	if !found.login.Is(format.Live) || !l.cfg.Store.Records.Now().Before(found.login.Head.Until) {
		return none, fmt.Errorf("login: the session has ended: %w", authn.ErrWrong)
	}
	return found.login, nil
}

// ticket opens a session's cookie.
func (l *Logins) ticket(ctx context.Context, cookie string) (ticket, error) {
	var t ticket
	opened, err := l.box.open(ctx, purposeSession, cookie, &t)
	switch {
	case err != nil:
		return ticket{}, err
	case !opened || len(t.ID) != len(format.RandomID()):
		return ticket{}, fmt.Errorf("login: the session's cookie is not one of ours: %w", authn.ErrWrong)
	case !l.cfg.Store.Records.Now().Before(t.Until):
		return ticket{}, fmt.Errorf("login: the session has ended: %w", authn.ErrWrong)
	}
	return t, nil
}

// logout ends a session, for every replica, and says where the provider's own can be ended. Without a session it is done already.
func (l *Logins) logout(w http.ResponseWriter, r *http.Request) {
	if !ofOurPages(r) {
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			say(w, http.StatusForbidden, "A page of another site cannot log you out.")
			return
		}
	}
	var out struct {
		EndSessionURL string `json:"endSessionUrl,omitempty"`
	}
	name := ""
	if cookie := l.cookie(r, cookieSession); cookie != "" {
		var err error
		if name, err = l.end(r.Context(), cookie); err != nil {
			l.fail(w, r, name, err)
			return
		}
	}
	if p := l.providers[name]; p != nil {
		ctx, cancel := context.WithTimeout(r.Context(), providerTime)
		defer cancel()
		var err error
		if out.EndSessionURL, err = p.endURL(ctx, l.cfg.BaseURL+"/login"); err != nil { // our own session has ended
			l.cfg.Log.WarnContext(ctx, "a provider does not say where its sessions are ended", "provider", name, "err", err)
		}
	}
	l.dropCookie(w, cookieSession)
	l.dropCookie(w, cookieUser)
	body, err := json.Marshal(out)
	if err != nil {
		l.fail(w, r, name, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that left
}

// endTries is how often a swap is tried again that lost a race: against other logouts of the same session alone.
const endTries = 4

// end ends the session of a cookie, and returns its provider's name. What is no session is none any more.
func (l *Logins) end(ctx context.Context, cookie string) (string, error) {
	t, err := l.ticket(ctx, cookie)
	if isWrong(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer l.seen.Remove(t.ID)
	key := format.LoginKey(t.ID)
	s, err := format.Read[format.Login](ctx, l.cfg.Store, key)
	for range endTries {
		if err != nil && !format.IsConflict(err) {
			break
		}
		if !s.Is(format.Live) {
			return "", nil
		}
		name := s.Head.Provider
		if s, err = format.Write(ctx, l.cfg.Store, key, s, format.Killed(format.Login{}), nil, false); err == nil {
			l.cfg.Log.InfoContext(ctx, "somebody logged out", "provider", name)
			return name, nil
		}
	}
	return "", fmt.Errorf("login: end a session: %w", err)
}

func (l *Logins) cookieName(name string) string {
	if l.cfg.Secure {
		return hostPrefix + name
	}
	return name
}

// cookie is the value of one of ours; "" where there is none, or several.
func (l *Logins) cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(l.cookieName(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// setCookie gives a browser a cookie that scripts cannot read, and that comes with what people follow a link to, and not with what pages of others send.
func (l *Logins) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: l.cookieName(name), Value: value, Path: "/", MaxAge: int(life / time.Second), Secure: l.cfg.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // Secure is as configured
}

func (l *Logins) dropCookie(w http.ResponseWriter, name string) {
	if name != cookieUser {
		name = l.cookieName(name)
	}
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: l.cfg.Secure, HttpOnly: name != cookieUser, SameSite: http.SameSiteLaxMode}) //nolint:gosec // Secure is as configured
}
