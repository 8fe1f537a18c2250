package issue

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"holdfast/internal/access/scope"
)

// maxFormBytes is how long the body of a POST may be.
const maxFormBytes = 64 << 10

// ask is what a client asks for.
type ask struct {
	shown     shown
	name      string
	password  string
	refresh   string   // a refresh token
	tokens    []string // that may be of an issuer of Config.Exchange
	service   string
	access    []scope.Access
	offline   bool // it wants a refresh token
	withScope bool // the answer says what was given: OAuth2
}

// shown is what credentials a client shows.
type shown uint8

const (
	nothing shown = iota
	aPassword
	aRefreshToken
	someTokens
)

// askError is a request that is not answered with a token, whoever makes it. Its text is for the client.
type askError struct {
	status int
	text   string
}

func (e *askError) Error() string { return e.text }

func bad(text string) error { return &askError{http.StatusBadRequest, text} }

// parse reads a request for a token. It asks nobody anything. Errors: *askError.
func parse(r *http.Request) (ask, error) {
	switch r.Method {
	case http.MethodGet:
		return parseGet(r)
	case http.MethodPost:
		return parsePost(r)
	}
	return ask{}, &askError{http.StatusMethodNotAllowed, "a token is asked for by GET or POST"}
}

// parseGet reads a request of the docker token flow. Credentials are in the header alone: a URL is logged by many.
func parseGet(r *http.Request) (ask, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ask{}, bad("the query cannot be read")
	}
	var a ask
	if err := a.basic(r); err != nil {
		return a, err
	}
	if a.service, err = single(q, "service"); err != nil {
		return a, err
	}
	offline, err := single(q, "offline_token")
	if err != nil {
		return a, err
	}
	a.offline = offline == "true" || offline == "1"
	a.access, err = scopes(q["scope"])
	return a, err
}

// parsePost reads a request of OAuth2.
func parsePost(r *http.Request) (ask, error) {
	a := ask{withScope: true}
	form, err := readForm(r)
	if err != nil {
		return a, err
	}
	if err := a.basic(r); err != nil {
		return a, err
	}
	values := map[string]string{}
	for _, name := range []string{"grant_type", "username", "password", "refresh_token", "service", "access_type", "id_token", "access_token", "token"} {
		if values[name], err = single(form, name); err != nil {
			return a, err
		}
	}
	a.service, a.offline = values["service"], values["access_type"] == "offline"
	if a.access, err = scopes(form["scope"]); err != nil {
		return a, err
	}
	switch grant := values["grant_type"]; {
	case a.shown == aPassword && (values["username"] != "" || values["password"] != "" || values["refresh_token"] != ""):
		return a, bad("there are credentials in the header and in the form")
	case grant == "password" && a.shown == nothing:
		if values["username"] == "" || values["password"] == "" {
			return a, bad("username and password are needed for grant_type password")
		}
		a.shown, a.name, a.password = aPassword, values["username"], values["password"]
	case grant == "refresh_token" && a.shown == nothing:
		if values["refresh_token"] == "" {
			return a, bad("refresh_token is needed for grant_type refresh_token")
		}
		a.shown, a.refresh = aRefreshToken, values["refresh_token"]
	case a.shown == aPassword && (grant == "" || grant == "password"):
	default:
		// As in zot: the identity token of a workload, whatever the grant is called.
		for _, name := range []string{"id_token", "access_token", "token"} {
			if values[name] != "" {
				a.shown, a.tokens = someTokens, append(a.tokens, values[name])
			}
		}
		if a.shown != someTokens {
			return a, bad("grant_type is password or refresh_token")
		}
	}
	return a, nil
}

// basic takes the credentials of the header. A header that holds none that can be read is wrong credentials, and never nobody.
func (a *ask) basic(r *http.Request) error {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return nil
	}
	var ok bool
	a.name, a.password, ok = r.BasicAuth()
	if len(all) > 1 || !ok || a.name == "" && !looksLikeJWT(a.password) {
		return &askError{http.StatusUnauthorized, "the Authorization header holds no name and password"}
	}
	a.shown = aPassword
	return nil
}

func readForm(r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, bad("the body is a form, application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxFormBytes))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &askError{http.StatusRequestEntityTooLarge, "the form is too long"}
	case err != nil:
		return nil, bad("the form did not come whole")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, bad("the form cannot be read")
	}
	return form, nil
}

// single is the value of a parameter that may be there once; two would mean one thing to us and another to a proxy.
func single(values url.Values, name string) (string, error) {
	switch all := values[name]; len(all) {
	case 0:
		return "", nil
	case 1:
		return all[0], nil
	}
	return "", bad(name + " is there more than once")
}

func scopes(texts []string) ([]scope.Access, error) {
	all, err := scope.Parse(texts)
	if err != nil {
		return nil, bad("more scopes are asked for than anybody needs")
	}
	return all, nil
}

// looksLikeJWT tells an identity token in place of a password.
func looksLikeJWT(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2
}
