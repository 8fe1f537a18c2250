package issue_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/oci"
)

func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func unpart(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAttacks is A35: no token that we did not give is good, whatever its header says of how it is to be checked; nor one of ours that is not for this.
func TestAttacks(t *testing.T) {
	s := newSite(t)
	token := s.get(0, "alice", "a-secret", "scope=repository:team/app:pull").Token
	parts := strings.Split(token, ".")
	head, body := unpart(t, parts[0]), unpart(t, parts[1])
	seed := s.locals[0].Keys("access token")[0] // what nobody outside has
	ours := ed25519.NewKeyFromSeed(seed)
	_, theirs, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(m map[string]any, changes ...any) map[string]any {
		m = maps.Clone(m)
		for i := 0; i < len(changes); i += 2 {
			if m[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
				delete(m, changes[i].(string))
			}
		}
		return m
	}
	signed := func(key ed25519.PrivateKey, head, body map[string]any) string {
		text := part(head) + "." + part(body)
		return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
	}
	if _, err := s.verify(0, signed(ours, head, body)); err != nil {
		t.Fatalf("the same token, made by the test: %v", err)
	}
	now := time.Now().Unix()
	public, err := x509.MarshalPKIXPublicKey(ours.Public())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(head map[string]any, key []byte) string {
		text := part(head) + "." + part(body)
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by := func(alg jose.SignatureAlgorithm, key any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: head["kid"].(string)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(body)
		sig, err := signer.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		out, err := sig.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	jwk := jose.JSONWebKey{Key: theirs.Public(), KeyID: head["kid"].(string), Algorithm: "EdDSA"}
	refresh := s.get(0, "alice", "a-secret", "offline_token=true").Again
	for name, forged := range map[string]string{
		"alg none":                       part(with(head, "alg", "none")) + "." + parts[1] + ".",
		"alg None with our signature":    part(with(head, "alg", "None")) + "." + parts[1] + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"HS256 under the public key":     mac(with(head, "alg", "HS256"), ours.Public().(ed25519.PublicKey)),
		"HS256 under its PKIX form":      mac(with(head, "alg", "HS256"), public),
		"RS256":                          by(jose.RS256, rsaKey),
		"ES256":                          by(jose.ES256, ecKey),
		"another key with our kid":       signed(theirs, head, body),
		"another key with its own kid":   signed(theirs, with(head, "kid", "x"), body),
		"no kid":                         signed(ours, with(head, "kid", nil), body),
		"kid is a path":                  signed(theirs, with(head, "kid", "../../key"), body),
		"an embedded jwk":                signed(theirs, with(head, "jwk", jwk), body),
		"an embedded jwk, our signature": signed(ours, with(head, "jwk", jwk), body),
		"x5c":                            signed(theirs, with(head, "x5c", []string{base64.StdEncoding.EncodeToString(public)}), body),
		"x5u":                            signed(ours, with(head, "x5u", "http://127.0.0.1:1/key"), body),
		"jku":                            signed(ours, with(head, "jku", "http://127.0.0.1:1/keys"), body),
		"crit of what is unknown":        signed(ours, with(head, "crit", []string{"x"}, "x", 1), body),
		"crit of b64":                    signed(ours, with(head, "crit", []string{"b64"}, "b64", true), body),
		"another typ":                    signed(ours, with(head, "typ", "JWE"), body),
		"expired":                        signed(ours, head, with(body, "exp", now-61)),
		"no exp":                         signed(ours, head, with(body, "exp", nil)),
		"nbf in an hour":                 signed(ours, head, with(body, "nbf", now+3600)),
		"iat in an hour":                 signed(ours, head, with(body, "iat", now+3600)),
		"another aud":                    signed(ours, head, with(body, "aud", "other")),
		"a list of aud":                  signed(ours, head, with(body, "aud", []string{"registry"})),
		"no aud":                         signed(ours, head, with(body, "aud", nil)),
		"another iss":                    signed(ours, head, with(body, "iss", "other")),
		"no iss":                         signed(ours, head, with(body, "iss", nil)),
		"a claim that we do not write":   signed(ours, head, with(body, "admin", true)),
		"a refresh token":                refresh,
		"another subject":                parts[0] + "." + part(with(body, "sub", "bob")) + "." + parts[2],
		"more access":                    parts[0] + "." + part(with(body, "access", []any{map[string]any{"type": "repository", "name": "priv/x", "actions": []string{"*"}}})) + "." + parts[2],
		"one bit of the signature":       token[:len(token)-2] + flip(token[len(token)-2:]),
		"a line break":                   parts[0] + "." + parts[1] + "." + parts[2][:8] + "\n" + parts[2][8:],
		"padding":                        token + "=",
		"a part too many":                token + ".x",
		"a part too few":                 parts[0] + "." + parts[1],
		"empty":                          "",
		"dots":                           "..",
		"no base64":                      "*.*.*",
		"a mebibyte":                     token + strings.Repeat("A", 1<<20),
		"JSON":                           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for replica := range s.issuers {
				if id, err := s.verify(replica, forged); !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther) {
					t.Errorf("%+v, %v", id, err)
				}
			}
		})
	}
	if id, err := s.verify(1, token); err != nil || id.Name != "alice" {
		t.Errorf("the true one, after all that: %+v, %v", id, err)
	}
}

// flip changes the first of two letters of base64.
func flip(two string) string {
	if two[0] == 'A' {
		return "B" + two[1:]
	}
	return "A" + two[1:]
}

// TestRevocation is A38: whatever a token was given for goes, at every replica, with the token known to both.
func TestRevocation(t *testing.T) {
	for name, tc := range map[string]struct {
		who, password string
		gone          func(s *site)
	}{
		"the user":        {"alice", "a-secret", func(s *site) { s.users.set("alice", "") }},
		"the password":    {"alice", "a-secret", func(s *site) { s.users.set("alice", "new") }},
		"the API key":     {"robot", "zak_1", func(s *site) { s.users.set("robot", "zak_2") }},
		"by the operator": {"alice", "a-secret", func(s *site) { mustRevoke(s, "alice") }},
		"of an API key's": {"robot", "zak_1", func(s *site) { mustRevoke(s, "robot") }},
		"the secret":      {"alice", "a-secret", func(s *site) { mustRotate(s, true) }},
		"the secret, known": {"alice", "a-secret", func(s *site) {
			mustRotate(s, true)
			_ = s.get(0, "bob", "b-secret")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				a := s.get(0, tc.who, tc.password, "scope=repository:team/app:pull", "offline_token=true")
				for replica := range s.issuers {
					if id, err := s.verify(replica, a.Token); err != nil || id.Name != tc.who {
						t.Fatalf("before: %+v, %v", id, err)
					}
				}
				time.Sleep(tick)
				tc.gone(s)
				time.Sleep(fresh.MaxAge + tick)
				if strings.HasPrefix(name, "the secret") { // every replica reads it once a minute
					if err := s.locals[1].RefreshSecret(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				for replica := range s.issuers {
					if id, err := s.verify(replica, a.Token); !errors.Is(err, authn.ErrWrong) {
						t.Errorf("at replica %d: %+v, %v", replica, id, err)
					}
					if a.Again != "" {
						if b := s.post(replica, "grant_type", "refresh_token", "refresh_token", a.Again); b.status != 401 {
							t.Errorf("a refresh token at replica %d: %d %s", replica, b.status, b.body)
						}
					}
				}
				synctest.Wait()
			})
		})
	}
}

func mustRevoke(s *site, user string) {
	s.Helper()
	if _, err := s.revoked[0].Revoke(s.Context(), user, "test"); err != nil {
		s.Fatal(err)
	}
}

func mustRotate(s *site, revoke bool) {
	s.Helper()
	if _, err := s.locals[0].RotateSecret(s.Context(), revoke); err != nil {
		s.Fatal(err)
	}
}

// TestAfterARevocation: the user comes again with his password. Just then he is told to wait, as no clock is that good; a token that he is given is good everywhere.
func TestAfterARevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		_ = s.get(1, "alice", "a-secret")
		mustRevoke(s, "alice")
		if a := s.get(0, "alice", "a-secret"); a.status != 503 {
			t.Errorf("at once: %d %s", a.status, a.body)
		}
		if a := s.get(0, "bob", "b-secret"); a.status != 200 {
			t.Errorf("somebody else: %d", a.status)
		}
		time.Sleep(4 * time.Second)
		for replica := range s.issuers {
			a := s.get(replica, "alice", "a-secret")
			for other := range s.issuers {
				if _, err := s.verify(other, a.Token); err != nil {
					t.Errorf("of replica %d at %d: %v", replica, other, err)
				}
			}
		}
		synctest.Wait()
	})
}

// TestRotation: tokens of before and after a rotation are good everywhere, also where nobody has heard of it.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		before := s.get(1, "alice", "a-secret", "offline_token=true")
		mustRotate(s, false)
		after := s.get(0, "alice", "a-secret")
		for replica := range s.issuers {
			for _, token := range []string{before.Token, after.Token} {
				if _, err := s.verify(replica, token); err != nil {
					t.Errorf("at replica %d: %v", replica, err)
				}
			}
		}
		time.Sleep(23 * time.Hour)
		if a := s.post(0, "grant_type", "refresh_token", "refresh_token", before.Again); a.status != 200 {
			t.Errorf("a refresh token, 23 h after a rotation: %d", a.status)
		}
		time.Sleep(2 * time.Hour)
		if a := s.post(0, "grant_type", "refresh_token", "refresh_token", before.Again); a.status != 401 {
			t.Errorf("a refresh token, 25 h after a rotation: %d", a.status)
		}
		synctest.Wait()
	})
}

// TestGroupsAreThoseOfNow: who leaves a group loses what it gives with a token too that he has.
func TestGroupsAreThoseOfNow(t *testing.T) {
	s := newSite(t)
	token := s.get(0, "alice", "a-secret").Token
	s.users.groups["alice"] = []string{"ops"}
	if id, err := s.verify(1, token); err != nil || len(id.Groups) != 1 || id.Groups[0] != "ops" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestWrongScope is A37: a token for one repository is none for another.
func TestWrongScope(t *testing.T) {
	s := newSite(t)
	id, err := s.verify(0, s.get(0, "alice", "a-secret", "scope=repository:team/a:*").Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, repo := range []oci.Repository{"team/b", "team", "team/a/b", "priv/x"} {
		if id.Limits.Allow(repo, access.Read) {
			t.Errorf("it is for %s too", repo)
		}
	}
}
