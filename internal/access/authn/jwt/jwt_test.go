package jwt_test

import (
	"crypto"
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
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/jwt"
)

type object = map[string]any

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func public(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))})
}

func certificate(key crypto.Signer) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))})
}

func jwks(keys ...jose.JSONWebKey) []byte { return must(json.Marshal(jose.JSONWebKeySet{Keys: keys})) }

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(path string) (*jwt.Bearer, error) {
	return jwt.New(jwt.Config{File: path, Service: "registry", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

func sign(alg jose.SignatureAlgorithm, key any, head, body object) string {
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range head {
		opts.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts))
	return must(must(signer.Sign(must(json.Marshal(body)))).CompactSerialize())
}

func body(changes ...any) object {
	now := time.Now().Unix()
	b := object{"iss": "server", "sub": "alice", "aud": "registry", "exp": now + 300, "nbf": now, "iat": now, "access": []object{{"type": "repository", "name": "a/b", "actions": []string{"pull"}}}}
	for i := 0; i < len(changes); i += 2 {
		if b[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(b, changes[i].(string))
		}
	}
	return b
}

// TestKinds: every kind of key, in every kind of file, with every algorithm that it may have.
func TestKinds(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256, p384, p521 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := []struct {
		key  crypto.Signer
		algs []jose.SignatureAlgorithm
	}{
		{rsaKey, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}}, {p256, []jose.SignatureAlgorithm{jose.ES256}},
		{p384, []jose.SignatureAlgorithm{jose.ES384}}, {p521, []jose.SignatureAlgorithm{jose.ES512}}, {ed, []jose.SignatureAlgorithm{jose.EdDSA}},
	}
	for i, one := range all {
		files := map[string][]byte{"PEM": public(one.key), "certificate": certificate(one.key), "JWKS": jwks(jose.JSONWebKey{Key: one.key.Public(), KeyID: "x"})}
		if i == 0 {
			files["PKCS1"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)})
		}
		for name, text := range files {
			b, err := open(write(t, text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, alg := range one.algs {
				for _, kid := range []object{nil, {"kid": "x"}, {"kid": "other"}} {
					id, err := b.Verify(t.Context(), sign(alg, one.key, kid, body()))
					if err != nil || id.Name != "alice" || id.Way != access.Bearer || !id.Limits.Rules || !id.Limits.Allow("a/b", access.Read) || id.Limits.Allow("a/b", access.Create) {
						t.Errorf("%s, %s, %v: %+v, %v", name, alg, kid, id, err)
					}
				}
			}
			for j, other := range all {
				if i != j {
					if _, err := b.Verify(t.Context(), sign(other.algs[0], other.key, nil, body())); !errors.Is(err, authn.ErrOther) {
						t.Errorf("%s takes what %s signed: %v", name, other.algs[0], err)
					}
				}
			}
		}
	}
}

// TestFiles that cannot be used.
func TestFiles(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	good := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(good))})
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("secret"), "a weak key": public(weak), "P-224": public(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))), "a private key": private,
		"one more": append(public(good), private...), "an empty JWKS": jwks(), "a JWKS with a private key": jwks(jose.JSONWebKey{Key: good}),
		"a JWKS with a secret": []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`), "half a JWKS": []byte(`{"keys":[`),
		"a JWKS with another algorithm": jwks(jose.JSONWebKey{Key: good.Public(), Algorithm: "HS256"}), "only for encryption": jwks(jose.JSONWebKey{Key: good.Public(), Use: "enc"}),
	} {
		if _, err := open(write(t, text)); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestAttacks is A35, for tokens of another server.
func TestAttacks(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	theirs := must(rsa.GenerateKey(rand.Reader, 2048))
	path := write(t, jwks(jose.JSONWebKey{Key: key.Public(), KeyID: "k"}))
	b, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	raw := func(head, body object, mac []byte) string {
		text := base64.RawURLEncoding.EncodeToString(must(json.Marshal(head))) + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(body)))
		if mac == nil {
			return text + "."
		}
		m := hmac.New(sha256.New, mac)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	kid := object{"kid": "k"}
	with := func(name string, value any) object {
		h := maps.Clone(kid)
		h[name] = value
		return h
	}
	embedded := jose.JSONWebKey{Key: theirs.Public(), KeyID: "k"}
	good := sign(jose.RS256, key, kid, body())
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":                       raw(object{"alg": "none"}, body(), nil),
		"alg none with kid":              raw(object{"alg": "none", "kid": "k"}, body(), nil),
		"HS256 under the public key":     raw(object{"alg": "HS256", "kid": "k"}, body(), x509.MarshalPKCS1PublicKey(&key.PublicKey)),
		"HS256 under the PEM":            raw(object{"alg": "HS256", "kid": "k"}, body(), public(key)),
		"HS256 under the file":           raw(object{"alg": "HS256", "kid": "k"}, body(), must(os.ReadFile(path))),
		"another key":                    sign(jose.RS256, theirs, kid, body()),
		"an embedded jwk":                sign(jose.RS256, theirs, with("jwk", embedded), body()),
		"x5c":                            sign(jose.RS256, theirs, with("x5c", []string{base64.StdEncoding.EncodeToString(must(x509.MarshalPKIXPublicKey(theirs.Public())))}), body()),
		"x5u":                            sign(jose.RS256, theirs, with("x5u", "http://127.0.0.1:1/"), body()),
		"jku":                            sign(jose.RS256, theirs, with("jku", "http://127.0.0.1:1/"), body()),
		"crit":                           sign(jose.RS256, key, object{"kid": "k", "crit": []string{"x"}, "x": 1}, body()),
		"crit of what the library knows": sign(jose.RS256, key, object{"kid": "k", "crit": []string{"b64"}, "b64": true}, body()),
		"kid is a path":                  sign(jose.RS256, theirs, object{"kid": "../../key"}, body()),
		"expired":                        sign(jose.RS256, key, kid, body("exp", now-61)),
		"no exp":                         sign(jose.RS256, key, kid, body("exp", nil)),
		"nbf in an hour":                 sign(jose.RS256, key, kid, body("nbf", now+3600)),
		"iat in an hour":                 sign(jose.RS256, key, kid, body("iat", now+3600)),
		"another aud":                    sign(jose.RS256, key, kid, body("aud", "other")),
		"no aud":                         sign(jose.RS256, key, kid, body("aud", nil)),
		"an empty list of aud":           sign(jose.RS256, key, kid, body("aud", []string{})),
		"exp is a text":                  sign(jose.RS256, key, kid, body("exp", "never")),
		"access is a text":               sign(jose.RS256, key, kid, body("access", "all")),
		"a long subject":                 sign(jose.RS256, key, kid, body("sub", strings.Repeat("x", 1025))),
		"another payload":                parts[0] + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(body("sub", "root")))) + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"two parts":                      parts[0] + "." + parts[1],
		"dots":                           "..",
		"empty":                          "",
		"a mebibyte":                     good + strings.Repeat("A", 1<<20),
		"JSON":                           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"no base64":                      "*.*.*",
		"a token of five parts, as JWE":  good + ".x.y",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := b.Verify(t.Context(), token); !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
	for name, token := range map[string]string{
		"good": good, "again": good, "with x5c that is not looked at": sign(jose.RS256, key, object{"kid": "k", "jku": "http://127.0.0.1:1/"}, body()),
		"a list of aud": sign(jose.RS256, key, kid, body("aud", []string{"other", "registry"})), "no iss": sign(jose.RS256, key, kid, body("iss", nil)),
		"nobody": sign(jose.RS256, key, kid, body("sub", nil)), "no access": sign(jose.RS256, key, kid, body("access", nil)), "a minute late": sign(jose.RS256, key, kid, body("exp", now-50)),
	} {
		if id, err := b.Verify(t.Context(), token); err != nil || id.Limits == nil || !id.Limits.Rules || id.Anonymous() {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// TestReload: another file holds after 5 s, and what the key of before signed is refused, known or not. One that cannot be read changes nothing.
func TestReload(t *testing.T) {
	one, other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	path := write(t, public(one))
	synctest.Test(t, func(t *testing.T) {
		b, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		go b.Run(t.Context())
		set := func(text []byte) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5*time.Second + time.Millisecond)
			synctest.Wait()
		}
		wants := func(what string, one1, other1 bool) {
			t.Helper()
			for key, want := range map[*ecdsa.PrivateKey]bool{one: one1, other: other1} {
				if _, err := b.Verify(t.Context(), sign(jose.ES256, key, nil, body("exp", time.Now().Unix()+3600))); (err == nil) != want {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		token := sign(jose.ES256, one, nil, body("exp", time.Now().Unix()+3600))
		if _, err := b.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		wants("at first", true, false)
		set(append(public(one), public(other)...))
		wants("both", true, true)
		set([]byte("half a fi"))
		wants("a bad file", true, true)
		set(certificate(other))
		wants("the other", false, true)
		if _, err := b.Verify(t.Context(), token); !errors.Is(err, authn.ErrOther) {
			t.Errorf("a token that was known: %v", err)
		}
	})
}

// FuzzToken: whatever is sent, it is refused, or it is the one that was signed.
func FuzzToken(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	path := filepath.Join(f.TempDir(), "keys")
	if err := os.WriteFile(path, public(key), 0o600); err != nil {
		f.Fatal(err)
	}
	b, err := jwt.New(jwt.Config{File: path, Service: "registry", Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	good := sign(jose.EdDSA, key, nil, object{"aud": "registry", "exp": 1_800_000_300, "sub": "alice"})
	payload := strings.Split(good, ".")[1]
	f.Add(good)
	f.Add(strings.Split(good, ".")[0] + "." + payload + ".")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + ".")
	f.Add(strings.Replace(good, "M", "\n\n\nM", 1)) // decoders skip line breaks
	f.Fuzz(func(t *testing.T, token string) {
		id, err := b.Verify(t.Context(), token)
		if err == nil && (id.Name != "alice" || !strings.Contains(token, payload)) {
			t.Errorf("%q is for %+v", token, id)
		}
		if err != nil && !errors.Is(err, authn.ErrWrong) && !errors.Is(err, authn.ErrOther) {
			t.Errorf("%v", err)
		}
	})
}
