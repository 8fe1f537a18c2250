package issue

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/answer"
	"holdfast/internal/access/scope"
	"holdfast/internal/oci"
)

// given is the answer.
type given struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"` // the same: clients read one or the other
	ExpiresIn    int64  `json:"expires_in"`   // seconds
	IssuedAt     string `json:"issued_at,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// errWait is a user of whom something was revoked, or who came, a moment ago: a token that he was given now might be refused with what was given before.
var errWait = errors.New("issue: the user's credentials have just changed")

// ServeHTTP answers a request for a token: 200, whatever of what was asked for is allowed; 401 for credentials that are not good; 400, 405, 413 for what is no
// request for a token; 503 when somebody could not be asked.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := parse(r)
	if err == nil && a.service != "" && a.service != i.cfg.Service {
		err = bad("this is no token server for that service")
	}
	var out given
	if err == nil {
		out, err = i.serve(r, a)
	}
	if err != nil {
		i.fail(w, r, err)
		return
	}
	answer.JSON(w, http.StatusOK, out)
}

func (i *Issuer) fail(w http.ResponseWriter, r *http.Request, err error) {
	var wrong *askError
	wait, limited := authn.Limited(err)
	switch {
	case limited:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		answer.Error(w, http.StatusTooManyRequests, oci.TooManyRequests, "too many failed logins: wait, then try again")
	case errors.As(err, &wrong) && wrong.status != http.StatusUnauthorized:
		if wrong.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		answer.Error(w, wrong.status, oci.Unsupported, wrong.text)
	case wrong != nil, errors.Is(err, authn.ErrWrong), errors.Is(err, authn.ErrOther):
		i.delay(r.Context())
		w.Header().Set("WWW-Authenticate", authn.Basic(i.cfg.Service))
		answer.Error(w, http.StatusUnauthorized, oci.Unauthorized, "the credentials are not good")
	default:
		if !errors.Is(err, errWait) && r.Context().Err() == nil {
			i.cfg.Log.WarnContext(r.Context(), "no token could be given", "err", err)
		}
		answer.Error(w, http.StatusServiceUnavailable, oci.Unavailable, "the credentials cannot be checked now: try again")
	}
}

// delay waits before a refusal.
func (i *Issuer) delay(ctx context.Context) {
	if i.cfg.FailDelay <= 0 {
		return
	}
	timer := time.NewTimer(i.cfg.FailDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (i *Issuer) serve(r *http.Request, a ask) (given, error) {
	ctx := r.Context()
	if out, done, err := i.exchange(ctx, a); done || err != nil {
		return out, err
	}
	var id access.Identity
	var print string
	var err error
	switch a.shown {
	case nothing:
	case aPassword:
		id, print, err = i.password(r, a.name, a.password)
	case aRefreshToken:
		id, print, err = i.refresh(ctx, a.refresh)
	case someTokens:
		err = authn.ErrWrong // exchange has taken none
	}
	if err != nil {
		return given{}, err
	}
	if !id.Anonymous() {
		switch covered, err := i.cfg.Revoked.Covers(ctx, id.Name, i.cfg.Now().Truncate(time.Second)); {
		case err != nil:
			return given{}, fmt.Errorf("issue: give a token: %w", err)
		case covered:
			return given{}, errWait
		}
	}
	return i.give(r, a, id, print)
}

// give makes the tokens.
func (i *Issuer) give(r *http.Request, a ask, id access.Identity, print string) (given, error) {
	allowed := i.allowed(r, id, a.access)
	c := i.newClaims(id, print, forAccess, AccessTTL, allowed)
	token, err := i.sign(c)
	if err != nil {
		return given{}, err
	}
	out := given{Token: token, AccessToken: token, ExpiresIn: int64(AccessTTL / time.Second), IssuedAt: time.Unix(c.Issued, 0).UTC().Format(time.RFC3339)}
	var names []string
	for _, one := range allowed {
		names = append(names, one.String())
	}
	said := strings.Join(names, " ")
	if a.withScope {
		out.Scope = said
	}
	switch {
	case !a.offline:
	case a.shown == aRefreshToken:
		out.RefreshToken = a.refresh // its end does not move
	case i.refreshable(id, print):
		if out.RefreshToken, err = i.sign(i.newClaims(id, print, forRefresh, RefreshTTL, nil)); err != nil {
			return given{}, err
		}
	}
	if i.cfg.Given != nil && !id.Anonymous() {
		i.cfg.Given(r, id, said, out.RefreshToken != "" && a.shown != aRefreshToken)
	}
	return out, nil
}

// refreshable reports whether an identity is given refresh tokens: one that a password was shown for, of which it can be told whether it still stands. API keys
// are for long already.
func (i *Issuer) refreshable(id access.Identity, print string) bool {
	return i.cfg.Standing != nil && print != "" && !id.Anonymous() && id.Key == "" && id.Limits == nil
}

// password finds out whose password it is, and what its fingerprint was before it was looked at.
func (i *Issuer) password(r *http.Request, name, password string) (id access.Identity, print string, err error) {
	if i.cfg.Check == nil {
		return id, "", authn.ErrWrong
	}
	ctx, req := r.Context(), i.cfg.Describe(r)
	if print, err = i.print(ctx, name); err != nil {
		return id, "", err
	}
	if id, err = i.cfg.Check(ctx, &req, name, password); err != nil {
		return id, "", fmt.Errorf("issue: give a token: %w", err)
	}
	if print == "" { // a user who came while his password was looked at has one now, which it may not have been
		if now, err := i.print(ctx, name); err != nil || now != "" {
			return id, "", errors.Join(errWait, err)
		}
	}
	// A token for a token would live for ever; and nobody is no answer to a password.
	if id.Anonymous() || id.Name == "" || id.Way == access.Token || id.Key != "" && i.cfg.Keys == nil {
		return id, "", authn.ErrWrong
	}
	return id, print, nil
}

// print is the fingerprint of what a name has now.
func (i *Issuer) print(ctx context.Context, name string) (string, error) {
	if i.cfg.Standing == nil {
		return "", nil
	}
	print, err := i.cfg.Standing.Fingerprint(ctx, name)
	if err != nil {
		return "", fmt.Errorf("issue: give a token: %w", err)
	}
	return print, nil
}

// refresh finds out whose refresh token it is.
func (i *Issuer) refresh(ctx context.Context, token string) (access.Identity, string, error) {
	v, err := i.check(ctx, token, forRefresh)
	if err != nil {
		return access.Identity{}, "", err
	}
	id, err := i.stands(ctx, &v.claims)
	if err == nil && (i.cfg.Standing == nil || id.Anonymous()) {
		err = authn.ErrWrong
	}
	return id, v.claims.Print, err
}

// allowed is what of what was asked for the rules, and the limits of the credentials, allow.
func (i *Issuer) allowed(r *http.Request, id access.Identity, asked []scope.Access) []scope.Access {
	req := i.cfg.Describe(r)
	req.Identity = id
	may := func(repo oci.Repository, a access.Action) bool {
		one := req
		one.Method = methodOf(a)
		return id.Limits.Allow(repo, a) && i.cfg.Allowed(&one, repo, a)
	}
	var out []scope.Access
	for _, a := range asked {
		if a.Type == scope.Registry {
			if id.Limits == nil { // a token does not hold which repositories a key with scopes lists: show the key itself
				out = append(out, a)
			}
			continue
		}
		repo := oci.Repository(a.Name) // scope.Parse has checked it
		one := scope.Access{Type: a.Type, Name: a.Name}
		for _, action := range expand(a.Actions) {
			if mayAny(may, repo, action) {
				one.Actions = append(one.Actions, action)
			}
		}
		if len(one.Actions) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// expand writes all actions for "*".
func expand(actions []string) []string {
	for _, a := range actions {
		if a == scope.All {
			return []string{scope.Pull, scope.Push, scope.Delete}
		}
	}
	return actions
}

// mayAny reports whether anything of what an action of a token means is allowed: to push is to create or to update, and which it is shows only then.
func mayAny(may func(oci.Repository, access.Action) bool, repo oci.Repository, action string) bool {
	for _, a := range scope.Actions(action) {
		if a != access.DetectManifestCollision && may(repo, a) {
			return true
		}
	}
	return false
}

// methodOf is the method of the request that will be made: conditions may ask for it.
func methodOf(a access.Action) string {
	switch a {
	case access.Create, access.Update:
		return http.MethodPut
	case access.Delete:
		return http.MethodDelete
	}
	return http.MethodGet
}

// exchange answers who shows the token of another issuer in place of a password with that token. done is false when there is none, or of nobody's.
func (i *Issuer) exchange(ctx context.Context, a ask) (out given, done bool, err error) {
	tokens := a.tokens
	if a.shown == aPassword && looksLikeJWT(a.password) {
		tokens = append(tokens, a.password)
	}
	for _, token := range tokens {
		for _, by := range i.cfg.Exchange {
			_, err := by.Verify(ctx, token)
			switch {
			case errors.Is(err, authn.ErrOther):
				continue
			case err != nil:
				return given{}, false, fmt.Errorf("issue: look at a token: %w", err)
			}
			return i.same(token), true, nil
		}
	}
	return given{}, false, nil
}

// same is the answer to a token that is good already. Its end is for the client; we look at it ourselves when it is used.
func (i *Issuer) same(token string) given {
	var c struct {
		Expires float64 `json:"exp"`
		Issued  float64 `json:"iat"`
	}
	out := given{Token: token, AccessToken: token}
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	if payload, err := base64.RawURLEncoding.DecodeString(body); err == nil && json.Unmarshal(payload, &c) == nil {
		out.ExpiresIn = max(int64(c.Expires)-i.cfg.Now().Unix(), 0)
		if c.Issued > 0 {
			out.IssuedAt = time.Unix(int64(c.Issued), 0).UTC().Format(time.RFC3339)
		}
	}
	return out
}
