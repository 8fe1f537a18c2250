package abuse

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// token is one of our own token endpoint, for a user and a scope.
func (a *attack) token(user, scope string) string {
	a.Helper()
	target := "/zot/auth/token?service=holdfast"
	if scope != "" {
		target += "&scope=" + scope
	}
	ans := a.ask(user, "GET "+target).is(200)
	var body struct{ Token string }
	if err := json.Unmarshal(ans.Body, &body); err != nil || body.Token == "" {
		a.Fatalf("no token: %d %s", ans.Status, clip(string(ans.Body)))
	}
	return body.Token
}

// tokenRows are tokens that are forged, or used for more than they are for.
func tokenRows() []row {
	return []row{
		{number: "A35", name: "tokens that are forged, by a token server's key", at: once, run: forgedTokens},
		{number: "A35", name: "our own tokens, changed", run: func(a *attack) {
			token := a.token("alice", "repository:"+a.repo+":pull,push")
			a.ask("", "GET /v2/", "Authorization: Bearer "+token).is(200)
			part := strings.Split(token, ".")
			header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
			claims, err := base64.RawURLEncoding.DecodeString(part[1])
			if err != nil {
				a.Fatal(err)
			}
			for _, forged := range []string{
				header(`{"alg":"none","typ":"JWT"}`) + "." + part[1] + ".", header(`{"alg":"none","typ":"JWT"}`) + "." + part[1] + "." + part[2],
				part[0] + "." + header(strings.Replace(string(claims), "alice", "adam", 1)) + "." + part[2], part[0] + "." + part[1] + ".", part[0] + "." + part[1], token + "x", "x" + token,
				header(`{"alg":"HS256","typ":"JWT"}`) + "." + part[1] + "." + part[2], header(`{"alg":"EdDSA","kid":"../../key"}`) + "." + part[1] + "." + part[2],
			} {
				a.stranger().ask("", "GET /v2/", "Authorization: Bearer "+forged).is(401, "UNAUTHORIZED")
			}
		}},
		{number: "A36", name: "a token that may only pull", run: func(a *attack) {
			m := a.image(a.repo, "v1")
			token := a.token("alice", "repository:"+a.repo+":pull")
			bearer := "Authorization: Bearer " + token
			a.ask("", "GET /v2/"+a.repo+"/manifests/v1", bearer).is(200)
			u := a.upload(a.repo)
			for _, do := range []string{
				"POST /v2/" + a.repo + "/blobs/uploads/", "PATCH " + u, "PUT " + with(u, "digest="+digest("")), "DELETE " + u,
				"DELETE /v2/" + a.repo + "/manifests/v1", "DELETE /v2/" + a.repo + "/blobs/" + unknown,
			} {
				refusedScope(a.ask("", do, bearer, octets))
			}
			refusedScope(a.do("", "PUT /v2/"+a.repo+"/manifests/v2", m, bearer, "Content-Type: "+imageType))
			for _, name := range []string{"alice", "", "token", "bob"} {
				a.stranger().do("", "PUT /v2/"+a.repo+"/manifests/v2", m, basic(name, token), "Content-Type: "+imageType).oneOf([]int{401, 429}) // 429 when others got it wrong
			}
			a.gone(a.repo, "manifests/v2")
		}},
		{number: "A37", name: "a token of another repository", run: func(a *attack) {
			other, m := a.repo+"-b", a.image(a.repo, "v1")
			a.image(other, "v1")
			a.image(a.priv, "v1")
			bearer := "Authorization: Bearer " + a.token("alice", "repository:"+a.repo+":*")
			a.ask("", "GET /v2/"+a.repo+"/manifests/v1", bearer).oneOf([]int{200, 401, 403})
			refusedScope(a.ask("", "GET /v2/"+other+"/manifests/v1", bearer))
			// Whoever asks for more than he may does not get it.
			for _, scope := range []string{"repository:" + a.priv + ":pull,push", "repository:" + a.priv + ":*", "repository:acme/**:pull", "registry:catalog:*"} {
				refusedScope(a.ask("", "GET /v2/"+a.priv+"/manifests/v1", "Authorization: Bearer "+a.token("alice", scope)))
			}
			pull := "Authorization: Bearer " + a.token("alice", "repository:"+a.repo+":pull")
			a.ask("", "GET /v2/"+a.repo+"/manifests/v1", pull, "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE").is(200).holds(m)
			refusedScope(a.ask("", "DELETE /v2/"+a.repo+"/manifests/v1", pull, "X-HTTP-Method-Override: GET"))
			a.there(a.repo, "manifests/v1")
		}},
	}
}

// refusedScope is 403, or 401 with the scope that would do.
func refusedScope(ans *answer) {
	ans.a.Helper()
	ans.oneOf([]int{401, 403}, "UNAUTHORIZED|DENIED")
	if ans.Status == 401 {
		ans.has(`WWW-Authenticate: ~scope="`)
	}
}

// issuer makes tokens as a token server does.
type issuer struct {
	a    *attack
	key  *rsa.PrivateKey
	cert string // PEM
}

// sign signs with the key, for RS256, or else with a secret, or not at all.
func (i issuer) sign(header, claims map[string]any, key *rsa.PrivateKey, secret ...string) string {
	i.a.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			i.a.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(header) + "." + part(claims)
	var signature []byte
	switch header["alg"] {
	case "RS256":
		sum := sha256.Sum256([]byte(text))
		var err error
		if signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
			i.a.Fatal(err)
		}
	case "HS256":
		mac := hmac.New(sha256.New, []byte(secret[0]))
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// forgedTokens shows tokens to a replica that takes those of a token server.
func forgedTokens(a *attack) {
	ca := newAuthority(a, "token server")
	key := ca.key
	i := issuer{a, key, ca.pem()}
	cfg := a.local()
	cfg["http"].(map[string]any)["auth"] = map[string]any{"bearer": map[string]any{"realm": "https://auth.example/token", "service": "registry.test", "cert": a.file("server.pem", i.cert)}}
	a = a.at(a.serve(a.config(cfg)).address)
	// Nobody is asked for a key.
	var asked atomic.Int32
	listener, err := (&net.ListenConfig{}).Listen(a.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_ = conn.Close()
		}
	}()
	evil := "http://" + listener.Addr().String() + "/key"

	now := time.Now()
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"iss": "auth.example", "sub": "alice", "aud": "registry.test", "exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "iat": now.Add(-time.Minute).Unix(), "jti": a.word,
			"access": []any{map[string]any{"type": "repository", "name": a.repo, "actions": []string{"pull", "push"}}},
		}
		maps.Copy(c, change)
		return c
	}
	show := func(token string) *answer {
		return a.stranger().ask("", "POST /v2/"+a.repo+"/blobs/uploads/", "Authorization: Bearer "+token)
	}
	rs := map[string]any{"alg": "RS256", "typ": "JWT"}
	show(i.sign(rs, claims(nil), key)).is(202)

	stranger := newAuthority(a, "stranger")
	block, _ := pem.Decode([]byte(i.cert))
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		a.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	header := func(more map[string]any) map[string]any {
		h := maps.Clone(rs)
		maps.Copy(h, more)
		return h
	}
	jwk := map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(stranger.key.N.Bytes()), "e": "AQAB", "kid": "trusted"}
	forged := map[string]string{
		"alg none":             i.sign(map[string]any{"alg": "none"}, claims(nil), key),
		"alg nOnE":             i.sign(map[string]any{"alg": "nOnE"}, claims(nil), key),
		"another key":          i.sign(rs, claims(nil), stranger.key),
		"a key of its own":     i.sign(header(map[string]any{"jwk": jwk, "kid": "trusted"}), claims(nil), stranger.key),
		"a chain of its own":   i.sign(header(map[string]any{"x5c": []string{b64(stranger.der)}}), claims(nil), stranger.key),
		"our chain, its key":   i.sign(header(map[string]any{"x5c": []string{b64(block.Bytes)}}), claims(nil), stranger.key),
		"a key elsewhere, jku": i.sign(header(map[string]any{"jku": evil}), claims(nil), stranger.key),
		"a key elsewhere, x5u": i.sign(header(map[string]any{"x5u": evil}), claims(nil), stranger.key),
		"crit":                 i.sign(header(map[string]any{"crit": []string{"unknown"}, "unknown": 1}), claims(nil), key),
		"kid is a path":        i.sign(header(map[string]any{"kid": "../../key"}), claims(nil), stranger.key),
		"expired":              i.sign(rs, claims(map[string]any{"exp": now.Add(-5 * time.Minute).Unix()}), key),
		"not yet":              i.sign(rs, claims(map[string]any{"nbf": now.Add(time.Hour).Unix()}), key),
		"another audience":     i.sign(rs, claims(map[string]any{"aud": "other.test"}), key),
		"no audience":          i.sign(rs, claims(map[string]any{"aud": nil}), key),
		"no expiry":            i.sign(rs, claims(map[string]any{"exp": nil}), key),
	}
	for name, secret := range map[string]string{
		"PEM of the certificate": i.cert, "PEM of the key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "DER of the key": string(public), "DER of the certificate": string(block.Bytes),
	} {
		forged["HS256 with the "+name] = i.sign(map[string]any{"alg": "HS256", "typ": "JWT"}, claims(nil), nil, secret)
	}
	for name, token := range forged {
		if ans := show(token); ans.Status != 401 {
			a.Errorf("%s: %d", name, ans.Status)
		} else {
			ans.is(401, "UNAUTHORIZED")
		}
	}
	refusedScope(a.ask("", "GET /v2/"+a.priv+"/tags/list", "Authorization: Bearer "+i.sign(rs, claims(nil), key)))
	if n := asked.Load(); n > 0 {
		a.Errorf("%d connections to where a token said that its key is", n)
	}
}
