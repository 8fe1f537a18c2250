package apikey_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/apikey"
	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/record/mem"
)

// counted is a store that counts its reads of keys, and can be out of reach.
type counted struct {
	record.Store
	reads, writes atomic.Int64
	gone          atomic.Bool
}

func (c *counted) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if c.reads.Add(1); c.gone.Load() {
		return record.Record{}, record.ErrUnavailable
	}
	return c.Store.Get(ctx, key)
}

func (c *counted) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if c.writes.Add(1); c.gone.Load() {
		return record.Stamp{}, record.ErrUnavailable
	}
	return c.Store.Put(ctx, key, value, cond)
}

// standing knows those who are not gone.
type standing struct{ gone sync.Map }

func (s *standing) Fingerprint(context.Context, string) (string, error) { return "", nil }

func (s *standing) Stands(_ context.Context, id access.Identity, _ string) (access.Identity, error) {
	if _, gone := s.gone.Load(id.Name); gone {
		return id, authn.ErrWrong
	}
	return id, nil
}

// site is two replicas.
type site struct {
	*testing.T
	store    *counted
	keys     [2]*apikey.Keys
	revoked  [2]*revoke.List
	standing standing
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, store: &counted{Store: mem.New(mem.Config{})}}
	f := format.Store{Records: s.store, Ages: format.DefaultAges()}
	for i := range s.keys {
		s.revoked[i] = revoke.New(f)
		keys, err := apikey.New(apikey.Config{Store: f, Revoked: s.revoked[i], Standing: &s.standing, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(keys.Close)
		s.keys[i] = keys
	}
	return s
}

func user(name string) access.Identity {
	return access.Identity{Name: name, Way: access.Htpasswd, Groups: []string{"dev"}}
}

type exchange struct {
	status int
	header http.Header
	body   string
	Keys   []struct {
		UUID, Label, CreatorUA          string
		IsExpired                       bool
		CreatedAt, LastUsed, Expiration time.Time
		Scopes                          []string
	} `json:"apiKeys"`
	UUID   string `json:"uuid"`
	APIKey string `json:"apiKey"`
	Errors []struct{ Code string }
}

// do asks the endpoint of a replica as somebody.
func (s *site) do(replica int, who access.Identity, method, target, body string) exchange {
	s.Helper()
	r := httptest.NewRequestWithContext(access.With(s.Context(), &access.Request{Identity: who}), method, target, strings.NewReader(body))
	r.Header.Set("User-Agent", "test/1")
	w := httptest.NewRecorder()
	(&apikey.Server{Keys: s.keys[replica], Origins: http.NewCrossOriginProtection()}).ServeHTTP(w, r)
	out := exchange{status: w.Code, header: w.Header(), body: w.Body.String()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			s.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
	}
	if out.status == http.StatusUnauthorized && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
		s.Errorf("401 without a challenge: %v", w.Header())
	}
	if out.status >= 400 && (len(out.Errors) != 1 || out.Errors[0].Code == "") {
		s.Errorf("%d without an error: %s", out.status, out.body)
	}
	return out
}

const at = "/zot/auth/apikey"

func (s *site) make(replica int, name, body string) exchange {
	s.Helper()
	out := s.do(replica, user(name), http.MethodPost, at, body)
	if out.status != http.StatusCreated || !strings.HasPrefix(out.APIKey, "zak_") || out.UUID == "" {
		s.Fatalf("%d %s", out.status, out.body)
	}
	return out
}

// TestAKeysLife: made, used as a password and as a token at any replica, listed, deleted, and good no more.
func TestAKeysLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		made := s.make(0, "alice", `{"label":"ci","scopes":["team/app","team/lib:pull"],"expirationDate":""}`)
		for replica, keys := range s.keys {
			for _, check := range []func() (access.Identity, error){
				func() (access.Identity, error) { return keys.Check(t.Context(), "alice", made.APIKey) },
				func() (access.Identity, error) { return keys.Verify(t.Context(), made.APIKey) },
			} {
				id, err := check()
				if err != nil || id.Name != "alice" || id.Way != access.APIKey || id.Key != made.UUID || len(id.Groups) != 1 {
					t.Fatalf("at replica %d: %+v, %v", replica, id, err)
				}
				l := id.Limits
				if !l.Allow("team/app", access.Delete) || !l.Allow("team/lib", access.Read) || l.Allow("team/lib", access.Create) || l.Allow("team/other", access.Read) || !l.Catalog || l.Rules {
					t.Errorf("its limits are %+v", l)
				}
			}
			if _, err := keys.Check(t.Context(), "bob", made.APIKey); !errors.Is(err, authn.ErrWrong) {
				t.Errorf("with another name: %v", err)
			}
			if err := keys.Alive(t.Context(), "alice", made.UUID); err != nil {
				t.Errorf("what was given for it: %v", err)
			}
		}
		synctest.Wait()
		list := s.do(1, user("alice"), http.MethodGet, at, "")
		if len(list.Keys) != 1 || list.Keys[0].UUID != made.UUID || list.Keys[0].Label != "ci" || list.Keys[0].LastUsed.IsZero() || list.Keys[0].CreatorUA != "test/1" || list.Keys[0].IsExpired {
			t.Errorf("%s", list.body)
		}
		secret := made.APIKey[len("zak_")+32:]
		if strings.Contains(list.body, secret) {
			t.Error("the list shows the key")
		}
		for entry, err := range s.store.List(t.Context(), "a/", "") {
			if err != nil {
				t.Fatal(err)
			}
			rec, _ := s.store.Get(t.Context(), entry.Key)
			if strings.Contains(string(rec.Value)+string(entry.Key), secret) {
				t.Errorf("the store has the key, in %s", entry.Key)
			}
		}
		if other := s.do(0, user("bob"), http.MethodDelete, at+"?id="+made.UUID, ""); other.status != http.StatusNotFound { // A39
			t.Errorf("somebody else deletes it: %d", other.status)
		}
		if out := s.do(0, user("alice"), http.MethodDelete, at+"?id="+made.UUID, ""); out.status != http.StatusOK {
			t.Fatalf("%d %s", out.status, out.body)
		}
		if _, err := s.keys[0].Check(t.Context(), "alice", made.APIKey); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("where it was deleted: %v", err)
		}
		time.Sleep(fresh.MaxAge + time.Millisecond)
		if _, err := s.keys[1].Check(t.Context(), "alice", made.APIKey); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("at the other replica: %v", err)
		}
		if err := s.keys[1].Alive(t.Context(), "alice", made.UUID); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("what was given for it: %v", err)
		}
		if out := s.do(1, user("alice"), http.MethodDelete, at+"?id="+made.UUID, ""); out.status != http.StatusNotFound {
			t.Errorf("deleted again: %d", out.status)
		}
		if list := s.do(1, user("alice"), http.MethodGet, at, ""); len(list.Keys) != 0 {
			t.Errorf("%s", list.body)
		}
		if n := s.left(); n != 2 {
			t.Errorf("%d records are left", n)
		}
		time.Sleep(25 * time.Hour)
		_ = s.do(1, user("alice"), http.MethodGet, at, "")
		if n := s.left(); n != 0 {
			t.Errorf("%d records are left a day later", n)
		}
		synctest.Wait()
	})
}

func (s *site) left() (n int) {
	for _, err := range s.store.List(s.Context(), "a/", "") {
		if err != nil {
			s.Fatal(err)
		}
		n++
	}
	return n
}

// TestAnswers is the endpoint's, with A42 among them.
func TestAnswers(t *testing.T) {
	s := newSite(t)
	alice := user("alice")
	mine := s.make(0, "alice", `{"label":"x"}`).UUID
	with := func(change func(*access.Identity)) access.Identity {
		id := alice
		change(&id)
		return id
	}
	for name, tc := range map[string]struct {
		who                  access.Identity
		method, target, body string
		status               int
	}{
		"nobody":                  {access.Identity{}, "GET", at, "", 401},
		"nobody with a limit":     {access.Identity{Limits: &access.Limits{}}, "POST", at, `{}`, 401},
		"by an API key":           {with(func(i *access.Identity) { i.Way, i.Key = access.APIKey, mine }), "POST", at, `{}`, 403},
		"by a token":              {with(func(i *access.Identity) { i.Way, i.Limits = access.Token, &access.Limits{} }), "GET", at, "", 403},
		"by a workload":           {with(func(i *access.Identity) { i.Way = access.Workload }), "POST", at, `{}`, 403},
		"an unknown member":       {alice, "POST", at, `{"label":"x","admin":true}`, 400},
		"a user":                  {alice, "POST", at, `{"label":"x","user":"bob"}`, 400},
		"two objects":             {alice, "POST", at, `{"label":"x"}{}`, 400},
		"a list":                  {alice, "POST", at, `[]`, 400},
		"nothing":                 {alice, "POST", at, ``, 400},
		"a long body":             {alice, "POST", at, `{"label":"` + strings.Repeat("x", 9000) + `"}`, 413},
		"a long label":            {alice, "POST", at, `{"label":"` + strings.Repeat("x", 257) + `"}`, 400},
		"too many scopes":         {alice, "POST", at, `{"scopes":["a"` + strings.Repeat(`,"a"`, 64) + `]}`, 400},
		"a scope that is none":    {alice, "POST", at, `{"scopes":["../x"]}`, 400},
		"a pattern":               {alice, "POST", at, `{"scopes":["team/*"]}`, 400},
		"an action that is none":  {alice, "POST", at, `{"scopes":["a:fly"]}`, 400},
		"an empty scope":          {alice, "POST", at, `{"scopes":[""]}`, 400},
		"a scope as in a token":   {alice, "POST", at, `{"scopes":["repository:a/b:pull,push"]}`, 201},
		"expired":                 {alice, "POST", at, `{"expirationDate":"2001-01-01T00:00:00Z"}`, 400},
		"a date that is none":     {alice, "POST", at, `{"expirationDate":"tomorrow"}`, 400},
		"a date":                  {alice, "POST", at, `{"expirationDate":"2999-01-01T00:00:00+02:00"}`, 201},
		"DELETE without an id":    {alice, "DELETE", at, "", 400},
		"DELETE with two":         {alice, "DELETE", at + "?id=a&id=b", "", 400},
		"DELETE of nothing":       {alice, "DELETE", at + "?id=" + strings.Repeat("0", 32), "", 404},
		"DELETE of a path":        {alice, "DELETE", at + "?id=../../cfg/secret", "", 404},
		"DELETE of another's":     {user("bob"), "DELETE", at + "?id=" + mine, "", 404},
		"PUT":                     {alice, "PUT", at, "", 405},
		"a session":               {with(func(i *access.Identity) { i.Way = access.Login }), "GET", at, "", 200},
		"another's list is empty": {user("bob"), "GET", at, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			out := s.do(0, tc.who, tc.method, tc.target, tc.body)
			if out.status != tc.status {
				t.Errorf("%d, want %d: %s", out.status, tc.status, out.body)
			}
			if tc.who.Name == "bob" && len(out.Keys) > 0 {
				t.Error("it shows another's keys")
			}
		})
	}
	r := httptest.NewRequestWithContext(access.With(t.Context(), &access.Request{Identity: with(func(i *access.Identity) { i.Way = access.Login })}), "POST", at, strings.NewReader("{}"))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	(&apikey.Server{Keys: s.keys[0], Origins: http.NewCrossOriginProtection()}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("a page of another origin: %d", w.Code)
	}
}

// TestEnds: by its date, by a revocation and by its maker's end, with the key known to the replica.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(s *site){
		"its date":   func(*site) { time.Sleep(time.Hour) },
		"revocation": func(s *site) { _, _ = s.revoked[0].Revoke(s.Context(), "alice", "") },
		"its maker":  func(s *site) { s.standing.gone.Store("alice", true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				made := s.make(0, "alice", fmt.Sprintf(`{"expirationDate":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))
				for _, keys := range s.keys {
					if id, err := keys.Check(t.Context(), "alice", made.APIKey); err != nil || id.Limits != nil {
						t.Fatalf("%+v, %v", id, err)
					}
				}
				end(s)
				time.Sleep(fresh.MaxAge + time.Millisecond)
				for replica, keys := range s.keys {
					if _, err := keys.Check(t.Context(), "alice", made.APIKey); !errors.Is(err, authn.ErrWrong) {
						t.Errorf("at replica %d: %v", replica, err)
					}
					if err := keys.Alive(t.Context(), "alice", made.UUID); !errors.Is(err, authn.ErrWrong) {
						t.Errorf("what was given for it, at replica %d: %v", replica, err)
					}
				}
				synctest.Wait()
			})
		})
	}
}

// TestAfterARevocation: a key that is made then is good; one that would be revoked with the others is not made.
func TestAfterARevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		if _, err := s.revoked[0].Revoke(t.Context(), "alice", ""); err != nil {
			t.Fatal(err)
		}
		if out := s.do(0, user("alice"), http.MethodPost, at, `{}`); out.status != http.StatusServiceUnavailable {
			t.Errorf("at once: %d %s", out.status, out.body)
		}
		time.Sleep(3 * time.Second)
		made := s.make(0, "alice", `{}`)
		if _, err := s.keys[1].Check(t.Context(), "alice", made.APIKey); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// TestForgeries: what is no key of ours is another way's; what looks like one is refused, by one read of the store whether there is such an id or not.
func TestForgeries(t *testing.T) {
	s := newSite(t)
	made := s.make(0, "alice", `{}`).APIKey
	for name, password := range map[string]string{
		"a password": "hunter2", "the prefix": "zak_", "a short one": made[:99], "a long one": made + "0", "upper case": strings.ToUpper(made), "zot's": "zak_0123456789abcdef0123456789abcdef",
		"spaces": made[:50] + " " + made[51:], "empty": "",
	} {
		if _, err := s.keys[0].Check(t.Context(), "alice", password); !errors.Is(err, authn.ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, password := range map[string]string{
		"another secret": made[:36] + strings.Repeat("0", 64), "another id": "zak_" + strings.Repeat("0", 32) + made[36:], "zeros": "zak_" + strings.Repeat("0", 96),
	} {
		before := s.store.reads.Load()
		if _, err := s.keys[1].Verify(t.Context(), password); !errors.Is(err, authn.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
		if n := s.store.reads.Load() - before; n > 1 {
			t.Errorf("%s: %d reads", name, n)
		}
	}
}

// TestAStoreThatIsGone: a key is good for MaxAge, and then nobody knows.
func TestAStoreThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		made := s.make(0, "alice", `{}`)
		if _, err := s.keys[0].Verify(t.Context(), made.APIKey); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.store.gone.Store(true)
		time.Sleep(fresh.MaxAge + time.Millisecond)
		for _, keys := range s.keys {
			if _, err := keys.Verify(t.Context(), made.APIKey); !errors.Is(err, record.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		}
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if out := s.do(0, user("alice"), method, at+"?id="+made.UUID, `{}`); out.status != http.StatusServiceUnavailable && method != "GET" {
				t.Errorf("%s: %d %s", method, out.status, out.body)
			}
		}
		synctest.Wait()
	})
}

// TestCost: a key that is used all the time is read once a second, and written once an hour.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		made := s.make(0, "alice", `{}`)
		reads, writes := s.store.reads.Load(), s.store.writes.Load()
		for range 20 * 3600 {
			if _, err := s.keys[0].Verify(t.Context(), made.APIKey); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		synctest.Wait()
		if n := s.store.reads.Load() - reads; n > 2*10*3600 {
			t.Errorf("%d reads in 10 h", n)
		}
		if n := s.store.writes.Load() - writes; n > 11 || n < 9 {
			t.Errorf("%d writes in 10 h", n)
		}
	})
}

// TestMostKeys: a user has so many, and one more when he deletes one.
func TestMostKeys(t *testing.T) {
	s := newSite(t)
	var last exchange
	for range apikey.MostKeys {
		last = s.make(0, "alice", `{}`)
	}
	if out := s.do(1, user("alice"), http.MethodPost, at, `{}`); out.status != http.StatusConflict {
		t.Errorf("%d %s", out.status, out.body)
	}
	s.make(1, "bob", `{}`)
	if out := s.do(1, user("alice"), http.MethodDelete, at+"?id="+last.UUID, ""); out.status != http.StatusOK {
		t.Fatal(out.body)
	}
	s.make(1, "alice", `{}`)
}

// TestDeleteWhileItIsUsed: a note of its use does not bring a key back.
func TestDeleteWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for range 50 {
			made := s.make(0, "alice", `{}`)
			var all sync.WaitGroup
			all.Go(func() { _, _ = s.keys[1].Verify(t.Context(), made.APIKey) })
			all.Go(func() {
				if err := s.keys[0].Delete(t.Context(), "alice", made.UUID); err != nil {
					t.Error(err)
				}
			})
			all.Wait()
			synctest.Wait()
			time.Sleep(fresh.MaxAge + time.Millisecond)
			if _, err := s.keys[1].Verify(t.Context(), made.APIKey); !errors.Is(err, authn.ErrWrong) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
	})
}
