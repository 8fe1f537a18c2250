package workload_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/workload"
)

type object = map[string]any

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuer is a server of OpenID Connect that gives its keys, over TLS.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  []jose.JSONWebKey
	down  atomic.Bool
	asked atomic.Int64
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(object{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		all := []any{object{"kty": "OKP", "crv": "unknown", "kid": "odd"}}
		for _, k := range i.keys {
			all = append(all, k.Public())
		}
		_ = json.NewEncoder(w).Encode(object{"keys": all})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	i.add("one")
	return i
}

// add makes another key.
func (i *issuer) add(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, jose.JSONWebKey{Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), KeyID: id, Algorithm: "ES256"})
}

func (i *issuer) key(id string) jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[slices.IndexFunc(i.keys, func(k jose.JSONWebKey) bool { return k.KeyID == id })]
}

func (i *issuer) drop(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(k jose.JSONWebKey) bool { return k.KeyID == id })
}

func (i *issuer) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}))
}

func (i *issuer) body(changes ...any) object {
	now := time.Now().Unix()
	b := object{"iss": i.URL, "sub": "system:serviceaccount:ci:builder", "aud": []string{"registry"}, "exp": now + 300, "nbf": now, "iat": now, "email": "ci@example.com", "teams": []string{"dev", "ops"}}
	for n := 0; n < len(changes); n += 2 {
		if b[changes[n].(string)] = changes[n+1]; changes[n+1] == nil {
			delete(b, changes[n].(string))
		}
	}
	return b
}

func sign(key jose.JSONWebKey, alg jose.SignatureAlgorithm, head, body object) string {
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range head {
		opts.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	return must(must(must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)).Sign(must(json.Marshal(body)))).CompactSerialize())
}

func (i *issuer) token(changes ...any) string {
	return sign(i.key("one"), jose.ES256, nil, i.body(changes...))
}

type revoked struct{ user string }

func (r revoked) Covers(_ context.Context, user string, _ time.Time) (bool, error) {
	return user == r.user, nil
}

func open(t *testing.T, m workload.Mapping, issuers ...*issuer) *workload.Issuers {
	t.Helper()
	var all []workload.Issuer
	for _, i := range issuers {
		all = append(all, workload.Issuer{URL: i.URL, Audiences: []string{"other", "registry"}, CA: i.ca(), Mapping: m})
	}
	return must(workload.New(workload.Config{Issuers: all, Compile: workload.CEL, Now: time.Now, Revoked: revoked{"gone"}, Log: slog.New(slog.DiscardHandler)}))
}

// TestMapping: what expressions make of claims.
func TestMapping(t *testing.T) {
	i := newIssuer(t)
	for name, tc := range map[string]struct {
		m      workload.Mapping
		token  string
		want   string
		groups string
	}{
		"as it is":              {workload.Mapping{}, i.token(), i.URL + "/system:serviceaccount:ci:builder", ""},
		"a claim":               {workload.Mapping{Username: "claims.email", Groups: "claims.teams"}, i.token(), "ci@example.com", "dev ops"},
		"variables":             {workload.Mapping{Variables: []workload.Variable{{"p", "claims.sub.split(':')"}, {"ns", "vars.p[2]"}}, Username: "vars.ns + '-' + vars.p[3]", Groups: "['ns-' + vars.ns]"}, i.token(), "ci-builder", "ns-ci"},
		"a validation":          {workload.Mapping{Validations: []workload.Validation{{"claims.email.endsWith('@example.com')", "not ours"}}, Username: "claims.email"}, i.token(), "ci@example.com", ""},
		"not valid":             {workload.Mapping{Validations: []workload.Validation{{"claims.email.endsWith('@other.com')", "not ours"}}, Username: "claims.email"}, i.token(), "", ""},
		"a claim that is not":   {workload.Mapping{Username: "claims.nickname"}, i.token(), "", ""},
		"a claim of a type":     {workload.Mapping{Username: "claims.teams"}, i.token(), "", ""},
		"an empty name":         {workload.Mapping{Username: "claims.email"}, i.token("email", ""), "", ""},
		"groups that are none":  {workload.Mapping{Groups: "claims.email"}, i.token(), "", ""},
		"a number":              {workload.Mapping{Username: "'u' + string(int(claims.uid))"}, i.token("uid", 12345678), "u12345678", ""},
		"work without end":      {workload.Mapping{Username: "claims.l.map(a, claims.l.map(b, claims.l.map(c, a + b + c))).size() > 0 ? 'x' : 'y'"}, i.token("l", make([]int, 300)), "", ""},
		"somebody who was gone": {workload.Mapping{Username: "'gone'"}, i.token(), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, tc.m, i)
			for range 2 { // the second time it is known
				id, err := s.Verify(t.Context(), tc.token)
				if tc.want == "" {
					if !errors.Is(err, authn.ErrWrong) {
						t.Errorf("%+v, %v", id, err)
					}
					continue
				}
				if err != nil || id.Name != tc.want || strings.Join(id.Groups, " ") != tc.groups || id.Way != access.Workload || id.Claims["email"] != "ci@example.com" || id.Limits != nil {
					t.Errorf("%+v, %v", id, err)
				}
			}
		})
	}
}

// TestExpressionsThatAreNone are all told at once.
func TestExpressionsThatAreNone(t *testing.T) {
	m := workload.Mapping{Username: "claims.", Groups: "1 +", Variables: []workload.Variable{{"", "1"}, {"x", "nothing"}}, Validations: []workload.Validation{{"'a'", "m"}, {"true", ""}}}
	_, err := workload.New(workload.Config{Issuers: []workload.Issuer{{URL: "https://x", Audiences: []string{"a"}, Mapping: m}, {URL: "https://y"}}, Compile: workload.CEL, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{"username", "groups", "variables[0] has no name", "variables[1]", "validations[0]", "validations[1] has no message", "issuer 2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in %v", want, err)
		}
	}
}

// TestAttacks is A35, for tokens of workloads.
func TestAttacks(t *testing.T) {
	i, evil := newIssuer(t), newIssuer(t)
	s := open(t, workload.Mapping{}, i)
	if _, err := s.Verify(t.Context(), i.token()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	theirs := jose.JSONWebKey{Key: evil.key("one").Key, KeyID: "one"}
	raw := func(head object, mac []byte) string {
		text := base64.RawURLEncoding.EncodeToString(must(json.Marshal(head))) + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(i.body())))
		if mac == nil {
			return text + "."
		}
		m := hmac.New(sha256.New, mac)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	own := i.key("one")
	public := must(x509.MarshalPKIXPublicKey(own.Public().Key))
	before, elsewhere := i.asked.Load(), evil.asked.Load()
	for name, token := range map[string]string{
		"alg none":                       raw(object{"alg": "none", "kid": "one"}, nil),
		"HS256":                          raw(object{"alg": "HS256", "kid": "one"}, public),
		"another key, our kid":           sign(theirs, jose.ES256, nil, i.body()),
		"an embedded jwk":                sign(theirs, jose.ES256, object{"jwk": theirs.Public()}, i.body()),
		"jku":                            sign(theirs, jose.ES256, object{"jku": evil.URL + "/keys"}, i.body()),
		"x5u":                            sign(theirs, jose.ES256, object{"x5u": evil.URL + "/keys"}, i.body()),
		"crit":                           sign(own, jose.ES256, object{"crit": []string{"x"}, "x": 1}, i.body()),
		"crit of what the library knows": sign(own, jose.ES256, object{"crit": []string{"b64"}, "b64": true}, i.body()),
		"RS256":                          sign(jose.JSONWebKey{Key: must(rsa.GenerateKey(rand.Reader, 2048)), KeyID: "one"}, jose.RS256, nil, i.body()),
		"another issuer":                 evil.token(),
		"another issuer's name":          i.token("iss", evil.URL),
		"no issuer":                      i.token("iss", nil),
		"expired":                        i.token("exp", now-61),
		"no exp":                         i.token("exp", nil),
		"nbf in an hour":                 i.token("nbf", now+3600),
		"iat in an hour":                 i.token("iat", now+3600),
		"another audience":               i.token("aud", "else"),
		"no audience":                    i.token("aud", nil),
		"a mebibyte":                     i.token("x", strings.Repeat("x", 1<<20)),
		"dots":                           "..",
		"empty":                          "",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := s.Verify(t.Context(), token); !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
	if i.asked.Load() != before || evil.asked.Load() != elsewhere {
		t.Errorf("somebody was asked: %d %d", i.asked.Load()-before, evil.asked.Load()-elsewhere)
	}
}

// TestKeysOfTheIssuer: it may change its keys, and be away.
func TestKeysOfTheIssuer(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	s := open(t, workload.Mapping{}, i)
	if _, err := s.Verify(t.Context(), i.token()); err == nil || errors.Is(err, authn.ErrWrong) || errors.Is(err, authn.ErrOther) {
		t.Errorf("before any key is known: %v", err)
	}
	i.down.Store(false)
	ask := func(what string, ok bool, token string) error {
		t.Helper()
		deadline := time.Now().Add(15 * time.Second)
		for {
			_, err := s.Verify(t.Context(), token)
			if (err == nil) == ok || time.Now().After(deadline) {
				if (err == nil) != ok {
					t.Errorf("%s: %v", what, err)
				}
				return err
			}
			<-time.After(20 * time.Millisecond) // a real server, which is asked by real time
		}
	}
	_ = ask("once it is there", true, i.token())
	i.add("two")
	if _, err := s.Verify(t.Context(), sign(i.key("two"), jose.ES256, nil, i.body())); err != nil {
		t.Errorf("a new key: %v", err)
	}
	i.add("three")
	i.down.Store(true)
	if _, err := s.Verify(t.Context(), i.token("n", 1)); err != nil {
		t.Errorf("a key that is known, while the issuer is away: %v", err)
	}
	if _, err := s.Verify(t.Context(), sign(i.key("three"), jose.ES256, nil, i.body())); err == nil || errors.Is(err, authn.ErrWrong) || errors.Is(err, authn.ErrOther) {
		t.Errorf("one that is not: %v", err)
	}
	i.down.Store(false)
	_ = ask("once it is back", true, sign(i.key("three"), jose.ES256, nil, i.body()))
	i.drop("one")
	before := i.asked.Load()
	unknown := jose.JSONWebKey{Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), KeyID: "x"}
	var all sync.WaitGroup
	began := time.Now()
	for n := range 40 {
		all.Go(func() {
			token := sign(jose.JSONWebKey{Key: unknown.Key, KeyID: fmt.Sprint("x", n)}, jose.ES256, nil, i.body())
			if _, err := s.Verify(t.Context(), token); !errors.Is(err, authn.ErrWrong) {
				t.Errorf("a key of nobody: %v", err)
			}
		})
	}
	all.Wait()
	if n, most := i.asked.Load()-before, int64(time.Since(began)/(2*time.Second))+2; n > most {
		t.Errorf("%d requests for the keys of nobody", n)
	}
}

// TestAuthorities: a server that nobody vouches for is asked nothing.
func TestAuthorities(t *testing.T) {
	i := newIssuer(t)
	s := must(workload.New(workload.Config{Issuers: []workload.Issuer{{URL: i.URL, Audiences: []string{"registry"}}}, Compile: workload.CEL, Now: time.Now, Log: slog.New(slog.DiscardHandler)}))
	if _, err := s.Verify(t.Context(), i.token()); err == nil || errors.Is(err, authn.ErrWrong) || i.asked.Load() != 0 {
		t.Errorf("%v, %d requests", err, i.asked.Load())
	}
}

// TestSeveralIssuers: each token goes to its own, and one that is away does not keep others.
func TestSeveralIssuers(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	a.down.Store(true)
	s := open(t, workload.Mapping{}, a, b)
	if id, err := s.Verify(t.Context(), b.token()); err != nil || !strings.HasPrefix(id.Name, b.URL) {
		t.Errorf("%+v, %v", id, err)
	}
	if a.asked.Load() != 0 {
		t.Error("the other was asked")
	}
}
