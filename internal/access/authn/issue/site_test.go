package issue_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/issue"
	"holdfast/internal/access/authn/revoke"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// users are a file of users, as both replicas read it: passwords by name.
type users struct {
	mu     sync.Mutex
	of     map[string]string
	groups map[string][]string
	tokens authn.Bearers // what it takes for passwords too; nil: none
	hidden int           // so many fingerprints are of nobody: the user comes after them
	err    error
}

func (u *users) set(name, password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[name] = password; password == "" {
		delete(u.of, name)
	}
}

func (u *users) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

func (u *users) Check(_ context.Context, name, password string) (access.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch want, known := u.of[name]; {
	case u.err != nil:
		return access.Identity{}, u.err
	case !known:
		return access.Identity{}, authn.ErrOther
	case want != password:
		return access.Identity{}, authn.ErrWrong
	}
	if key, found := strings.CutPrefix(password, "zak_"); found {
		return access.Identity{Name: name, Way: access.APIKey, Key: key, Limits: &access.Limits{Repositories: []access.Limit{{Name: "team/app", Actions: []access.Action{access.Read}}}}}, nil
	}
	return access.Identity{Name: name, Way: access.Htpasswd, Groups: u.groups[name]}, nil
}

func (u *users) check(ctx context.Context, _ *access.Request, name, password string) (access.Identity, error) {
	if u.tokens != nil {
		if id, err := u.tokens.Verify(ctx, password); err == nil {
			return id, nil
		}
	}
	id, err := u.Check(ctx, name, password)
	if errors.Is(err, authn.ErrOther) { // the door has asked everybody
		err = authn.ErrWrong
	}
	return id, err
}

func (u *users) Fingerprint(_ context.Context, name string) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hidden > 0 {
		u.hidden--
		return "", u.err
	}
	return "of " + u.of[name], u.err
}

func (u *users) Stands(_ context.Context, id access.Identity, print string) (access.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil || id.Way != access.Htpasswd {
		return id, u.err
	}
	if password, known := u.of[id.Name]; !known || print != "" && print != "of "+password {
		return id, authn.ErrWrong
	}
	id.Groups = u.groups[id.Name]
	return id, nil
}

// Alive says of API keys that those are good whose user has the password of that name.
func (u *users) Alive(_ context.Context, user, id string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[user] != "zak_"+id {
		return authn.ErrWrong
	}
	return nil
}

// workload takes one token.
type workload struct{ good, bad string }

func (w workload) Verify(_ context.Context, token string) (access.Identity, error) {
	switch token {
	case w.good:
		return access.Identity{Name: "ci", Way: access.Workload}, nil
	case w.bad:
		return access.Identity{}, authn.ErrWrong
	}
	return access.Identity{}, authn.ErrOther
}

// site is two replicas of one cluster.
type site struct {
	testing.TB
	users    *users
	records  record.Store
	locals   [2]*registry.Local
	issuers  [2]*issue.Issuer
	revoked  [2]*revoke.List
	workload workload
}

// rules: alice may do all in team/, bob may read and create there, everybody may read pub/.
func rules(r *access.Request, repo oci.Repository, a access.Action) bool {
	team := strings.HasPrefix(string(repo), "team/")
	switch {
	case a == access.Read && strings.HasPrefix(string(repo), "pub/"):
		return true
	case r.Identity.Name == "alice", r.Identity.Name == "robot":
		return team
	case r.Identity.Name == "bob":
		return team && (a == access.Read || a == access.Create)
	}
	return false
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{TB: t, users: &users{of: map[string]string{"alice": "a-secret", "bob": "b-secret", "robot": "zak_1"}, groups: map[string][]string{"alice": {"dev"}}}}
	s.workload = workload{"eyJ.good.x", "eyJ.bad.x"}
	s.records = recordmem.New(recordmem.Config{})
	segments := datamem.New(datamem.Config{})
	for i := range s.issuers {
		local, err := registry.New(t.Context(), s.records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(local.Close)
		s.locals[i] = local
		s.revoked[i] = revoke.New(format.Store{Records: s.records, Ages: format.DefaultAges()})
		s.issuers[i], err = issue.New(issue.Config{
			Service: "registry", Secret: local, Now: s.records.Now, Revoked: s.revoked[i], Check: s.users.check, Standing: s.users, Keys: s.users,
			Exchange: []authn.Bearers{s.workload}, Allowed: rules, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// answer is what an endpoint says.
type answer struct {
	status int
	header http.Header
	body   string
	Token  string `json:"token"`
	Access string `json:"access_token"`
	In     int64  `json:"expires_in"`
	At     string `json:"issued_at"`
	Again  string `json:"refresh_token"`
	Scope  string `json:"scope"`
	Errors []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (s *site) do(replica int, r *http.Request) answer {
	s.Helper()
	w := httptest.NewRecorder()
	s.issuers[replica].ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	body, _ := io.ReadAll(w.Body)
	a.body = string(body)
	if err := json.Unmarshal(body, &a); err != nil {
		s.Fatalf("%d %q: %v", w.Code, body, err)
	}
	if a.status >= 400 && (len(a.Errors) != 1 || a.Errors[0].Code == "" || a.Token != "") {
		s.Errorf("%d without an error: %s", a.status, body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		s.Errorf("an answer that may be kept: %v", a.header)
	}
	return a
}

// get asks with a password, or as nobody without a name.
func (s *site) get(replica int, name, password string, query ...string) answer {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), http.MethodGet, "/auth/token?service=registry&"+strings.Join(query, "&"), nil)
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	return s.do(replica, r)
}

// post asks by OAuth2, with fields as name, value.
func (s *site) post(replica int, fields ...string) answer {
	s.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, "/auth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(replica, r)
}

// verify checks a token at a replica.
func (s *site) verify(replica int, token string) (access.Identity, error) {
	s.Helper()
	return s.issuers[replica].Verify(s.Context(), token)
}

// may are the actions that a token allows in a repository, sorted as in the table of actions.
func may(id access.Identity, repo oci.Repository) string {
	var out []string
	for _, a := range []access.Action{access.Read, access.Create, access.Update, access.Delete} {
		if id.Limits.Allow(repo, a) {
			out = append(out, string(a))
		}
	}
	return strings.Join(out, " ")
}

const tick = 50 * time.Millisecond
