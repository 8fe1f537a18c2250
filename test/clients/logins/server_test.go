package logins

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/internal/edge/certs/certstest"
)

// tokenServer starts a token server of somebody else's: it gives people what they ask for, as the docker token flow has it, and a registry knows it by its key.
// Whoever shows nothing is given a token for nothing. It is reached by the registry's name, for which a proxy stands before HAProxy: crane and cosign go to no token
// server at a private address, and oras to none at a loopback address, unless it is the registry's own.
func (s *site) tokenServer(service string) (realm, keyFile string) {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		s.t.Fatal(err)
	}
	registry := &url.URL{Scheme: "http", Host: s.host}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(registry))
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		name, secret, shown := r.BasicAuth()
		if r.PostForm.Has("password") {
			name, secret, shown = r.PostForm.Get("username"), r.PostForm.Get("password"), true
		}
		if shown && (!slices.Contains(s.people, name) || secret != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="token server"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who is that?"}]}`, http.StatusUnauthorized)
			return
		}
		var access []object
		for _, scope := range strings.Fields(strings.Join(r.Form["scope"], " ")) {
			if part := strings.Split(scope, ":"); shown && len(part) == 3 {
				access = append(access, object{"type": part[0], "name": part[1], "actions": strings.Split(part[2], ",")})
			}
		}
		now := time.Now().Unix()
		token := signed(private, object{"iss": "token server", "sub": name, "aud": service, "iat": now, "nbf": now, "exp": now + 300, "access": access})
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object{"token": token, "access_token": token, "expires_in": 300}) // who has left learns nothing
	})
	front := httptest.NewServer(mux)
	s.t.Cleanup(front.Close)
	s.front = front.Listener.Addr().String()
	return front.URL + "/token", certstest.Write(s.t, s.dir, "server.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// signed is a JWT.
func signed(key ed25519.PrivateKey, claims object) string {
	part := func(v object) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // of texts and numbers
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(object{"alg": "EdDSA", "typ": "JWT"}) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}
