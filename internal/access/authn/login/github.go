package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
)

// github is GitHub: OAuth 2, and who somebody is by its API.
type github struct {
	cfg    Provider
	oauth  oauth2.Config
	api    string
	client *http.Client
}

func newGitHub(p Provider, redirect string, client *http.Client) *github {
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"read:org", "user:email"}
	}
	return &github{
		cfg: p, client: client, api: strings.TrimSuffix(cmp.Or(p.Issuer, "https://api.github.com"), "/"),
		oauth: oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: redirect, Scopes: p.Scopes, Endpoint: oauth2.Endpoint{
			AuthURL:   cmp.Or(p.AuthURL, "https://github.com/login/oauth/authorize"),
			TokenURL:  cmp.Or(p.TokenURL, "https://github.com/login/oauth/access_token"),
			AuthStyle: oauth2.AuthStyleInParams,
		}},
	}
}

func (g *github) authURL(_ context.Context, w way) (string, error) {
	return g.oauth.AuthCodeURL(w.State, oauth2.S256ChallengeOption(w.Verifier)), nil
}

func (g *github) checkIssuer(string) bool { return true } // it names none of ours

func (g *github) endURL(context.Context, string) (string, error) { return "", nil }

// identify finds the primary address, which is the name unless another field is to be, and as groups the organisations, and the teams as "organisation/team".
// What the user did not grant is left out.
func (g *github) identify(ctx context.Context, w way, code string) (person, error) {
	token, err := exchange(context.WithValue(ctx, oauth2.HTTPClient, g.client), &g.oauth, w, code)
	if err != nil {
		return person{}, err
	}
	claims := map[string]any{}
	if g.cfg.Username != "" {
		if _, err := g.get(ctx, token, "/user", &claims); err != nil {
			return person{}, err
		}
		delete(claims, "email") // the public one, which nobody need have verified
	}
	emails, err := list[struct {
		Email             string `json:"email"`
		Primary, Verified bool
	}](ctx, g, token, "/user/emails")
	if err != nil && (g.cfg.Username == "" || !errors.Is(err, errDenied)) {
		return person{}, err
	}
	for _, e := range emails {
		if e.Primary && e.Verified {
			claims["email"] = e.Email
		}
	}
	var groups []any
	orgs, err := list[struct{ Login string }](ctx, g, token, "/user/orgs")
	if err != nil && !errors.Is(err, errDenied) {
		return person{}, err
	}
	for _, o := range orgs {
		groups = append(groups, o.Login)
	}
	teams, err := list[struct {
		Slug         string
		Organization struct{ Login string }
	}](ctx, g, token, "/user/teams")
	if err != nil && !errors.Is(err, errDenied) {
		return person{}, err
	}
	for _, t := range teams {
		if t.Organization.Login != "" && t.Slug != "" {
			groups = append(groups, t.Organization.Login+"/"+t.Slug)
		}
	}
	claims["groups"] = groups
	return personOf(Provider{Username: g.cfg.Username}, claims)
}

// errDenied is what the token is not good for.
var errDenied = errors.New("login: GitHub denies it to the token")

const (
	pageSize = 100
	maxPages = 20
)

// list reads all pages of a list.
func list[T any](ctx context.Context, g *github, token *oauth2.Token, path string) ([]T, error) {
	var all []T
	for page := 1; page <= maxPages; page++ {
		var some []T
		more, err := g.get(ctx, token, path+"?per_page="+strconv.Itoa(pageSize)+"&page="+strconv.Itoa(page), &some)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); !more {
			return all, nil
		}
	}
	return nil, refused("GitHub has more than %d pages of %s", maxPages, path)
}

// get asks the API, and reports whether there is another page.
func (g *github) get(ctx context.Context, token *oauth2.Token, path string, into any) (more bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.api+path, http.NoBody)
	if err != nil {
		return false, fmt.Errorf("login: ask GitHub: %w", err)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	token.SetAuthHeader(req)
	resp, err := g.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("login: ask GitHub: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is not wanted
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusNotFound:
		return false, errDenied
	default:
		return false, fmt.Errorf("login: ask GitHub for %s: it answers %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return false, fmt.Errorf("login: read GitHub's answer to %s: %w", path, err)
	}
	return slices.ContainsFunc(resp.Header.Values("Link"), func(l string) bool { return strings.Contains(l, `rel="next"`) }), nil
}
