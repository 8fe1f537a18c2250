package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/login"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
	"holdfast/test/provider"
)

const base = "http://registry.test"

// house is a cluster of replicas over one store, behind one name.
type house struct {
	t        *testing.T
	replicas []*replica
	at       atomic.Int32 // who gets the next request
	ahead    atomic.Int64 // of the store's clock, in nanoseconds
	log      *journal
}

type replica struct {
	logins   *login.Logins
	registry *registry.Local
	records  *records
	address  string
}

// records fails while it is told to.
type records struct {
	record.Store
	gone  atomic.Bool
	reads atomic.Int64
}

func (r *records) Get(ctx context.Context, key record.Key) (record.Record, error) {
	r.reads.Add(1)
	if r.gone.Load() {
		return record.Record{}, fmt.Errorf("test: %w", record.ErrUnavailable)
	}
	return r.Store.Get(ctx, key)
}

func (r *records) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if r.gone.Load() {
		return record.Stamp{}, fmt.Errorf("test: %w", record.ErrUnavailable)
	}
	return r.Store.Put(ctx, key, value, cond)
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newHouse(t *testing.T, n int, cfg login.Config) *house {
	t.Helper()
	h := &house{t: t, log: &journal{}}
	shared := recordmem.New(recordmem.Config{Clock: func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }})
	segments := datamem.New(datamem.Config{})
	for range n {
		r := &replica{records: &records{Store: shared}}
		local, err := registry.New(t.Context(), r.records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(local.Close)
		r.registry = local
		cfg.BaseURL = base
		cfg.Began = func(_ *http.Request, who access.Identity, provider string) {
			_, _ = fmt.Fprintf(h.log, "began: %s %s %s", who.Way, who.Name, provider)
		}
		cfg.Store, cfg.Secrets, cfg.Log = format.Store{Records: r.records, Ages: format.DefaultAges()}, local, slog.New(slog.NewTextHandler(h.log, nil))
		if r.logins, err = login.New(cfg); err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("/zot/auth/", r.logins)
		mux.HandleFunc("/whoami", r.whoami)
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintln(w, "page", r.URL) })
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		r.address = s.Listener.Addr().String()
		h.replicas = append(h.replicas, r)
	}
	return h
}

// whoami says whose session a request belongs to.
func (r *replica) whoami(w http.ResponseWriter, req *http.Request) {
	id, err := r.logins.Session(req)
	switch {
	case err == nil:
		_, _ = fmt.Fprintf(w, "%s %s %s", id.Way, id.Name, strings.Join(id.Groups, ","))
	case errors.Is(err, authn.ErrOther):
		_, _ = fmt.Fprint(w, "other")
	case errors.Is(err, authn.ErrWrong):
		_, _ = fmt.Fprint(w, "wrong")
	default:
		_, _ = fmt.Fprint(w, "unasked")
	}
}

func (h *house) browser() *provider.Browser {
	return provider.NewBrowser(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "registry.test:80" {
			address = h.replicas[h.at.Load()].address
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
}

// do asks a replica.
func (h *house) do(b *provider.Browser, replica int, method, path string, header ...string) (*provider.Answer, string) {
	h.t.Helper()
	h.at.Store(int32(replica))
	to := path
	if strings.HasPrefix(path, "/") {
		to = base + path
	}
	resp, body, err := b.Do(h.t.Context(), method, to, nil, header...)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, body
}

// who asks a replica whose session the browser has.
func (h *house) who(b *provider.Browser, replica int, header ...string) string {
	h.t.Helper()
	_, body := h.do(b, replica, http.MethodGet, "/whoami", header...)
	return body
}

// begin begins a login at a replica, and logs in at the provider: the URL that leads back.
func (h *house) begin(b *provider.Browser, replica int, name, person string) string {
	h.t.Helper()
	resp, body := h.do(b, replica, http.MethodGet, "/zot/auth/login?provider="+name+"&callback_ui=%2Fhome%3Fa%3Db")
	if resp.StatusCode != http.StatusFound {
		h.t.Fatalf("login: %s %s\n%s", resp.Status, body, h.log)
	}
	back, err := b.LogIn(h.t.Context(), resp.Header.Get("Location"), person, base+"/zot/auth/callback/"+name)
	if err != nil {
		h.t.Fatal(err)
	}
	return back
}

// login is a whole login, whose steps come to two replicas.
func (h *house) login(b *provider.Browser, first, second int, name, person string) {
	h.t.Helper()
	resp, body := h.do(b, second, http.MethodGet, h.begin(b, first, name, person))
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/home?a=b" {
		h.t.Fatalf("callback: %s, to %s: %s\n%s", resp.Status, resp.Header.Get("Location"), body, h.log)
	}
}

func people() map[string]map[string]any {
	return map[string]map[string]any{
		"alice":   {"email": "alice@example.com", "email_verified": true, "preferred_username": "alice", "groups": []string{"ops", "devs"}},
		"bob":     {"email": "bob@example.com", "email_verified": false, "preferred_username": "bob"},
		"nobody":  {"name": "without an address"},
		"control": {"email": "a\nb", "preferred_username": "c\u0000d"},
	}
}

// real starts a provider, and makes a house that logs in with it.
func real(t *testing.T, replicas int, change func(*login.Config, *login.Provider)) (*house, *provider.Server) {
	t.Helper()
	s, err := provider.Start(t.Context(), provider.Options{ClientID: "registry", ClientSecret: "canary-client-secret", People: people(),
		RedirectURLs: []string{base + "/zot/auth/callback/oidc"}, LogoutURLs: []string{base + "/login"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	p := login.Provider{ClientID: "registry", ClientSecret: "canary-client-secret", Issuer: s.Issuer, Scopes: []string{"openid", "email", "profile", "groups"}}
	var cfg login.Config
	if change != nil {
		change(&cfg, &p)
	}
	cfg.Providers = map[string]login.Provider{"oidc": p, "gitlab": {ClientID: "other", Issuer: s.Issuer}}
	return newHouse(t, replicas, cfg), s
}

// cookies are what the browser would send to the registry.
func cookies(t *testing.T, b *provider.Browser) map[string]string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range b.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}
