package abuse

import (
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"holdfast/internal/s3/s3test"
	"holdfast/test/cluster"
)

// noCanary looks that a text does not have a secret, also in base64.
func (a *attack) noCanary(text string, secrets ...string) {
	a.Helper()
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
			if at := strings.Index(text, form); at >= 0 && form != "" {
				a.Errorf("%q is shown: %s", form, clip(text[max(0, at-200):min(len(text), at+200)]))
				break
			}
		}
	}
}

// nonsense listens, and answers whatever comes with what no protocol has.
func (a *attack) nonsense(asked func()) string {
	a.Helper()
	l, err := (&net.ListenConfig{}).Listen(a.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked()
			_, _ = conn.Write([]byte("-WRONGTYPE nonsense\r\n$-9\r\n\x00"))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// leakRows are answers, logs and metrics that tell more than they should.
func leakRows() []row {
	return []row{
		{number: "A45", name: "answers when the store fails", at: once, run: func(a *attack) {
			gateway := a.gateways(a)[0]
			cfg := a.bucket(a.behaving(func(next http.RoundTripper) http.RoundTripper {
				bad := failing(always, 500, "InternalError")(next)
				return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
					if _, err := os.Stat(a.dir + "/broken-" + a.word); err == nil {
						return bad.RoundTrip(r)
					}
					return next.RoundTrip(r)
				})
			}), nil)
			b := a.at(a.serve(a.config(cfg)).address)
			m := imageOf(descriptor("application/vnd.oci.image.config.v1+json", "{}"), "[]")
			b.do("", "POST /v2/x/blobs/uploads/?digest="+digest("{}"), "{}", octets).is(201)
			b.do("", "PUT /v2/x/manifests/v1", m, "Content-Type: "+imageType).is(201)
			u := b.ask("", "POST /v2/x/blobs/uploads/").is(202).location()
			if err := os.WriteFile(a.dir+"/broken-"+a.word, nil, 0o600); err != nil {
				a.Fatal(err)
			}
			bucket := cfg["storage"].(map[string]any)["storageDriver"].(map[string]any)["bucket"].(string)
			for _, do := range []string{
				"GET /v2/x/manifests/v1", "GET /v2/x/manifests/other", "GET /v2/x/blobs/" + digest("{}"), "GET /v2/x/blobs/" + unknown, "GET /v2/x/tags/list", "GET /v2/_catalog", "GET /v2/x/referrers/" + unknown,
				"PUT /v2/x/manifests/v2", "POST /v2/x/blobs/uploads/?digest=" + digest("{}"), "PATCH " + u, "PUT " + with(u, "digest="+digest("{}")), "DELETE /v2/x/manifests/v1", "POST /v2/x/blobs/uploads/?mount=" + unknown + "&from=y",
			} {
				body := "{}"
				if strings.HasPrefix(do, "PUT /v2/x/manifests") {
					body = m
				}
				if strings.HasPrefix(do, "GET") || strings.HasPrefix(do, "DELETE") {
					body = ""
				}
				ans := b.do("", do, body, "Content-Type: "+map[bool]string{true: imageType, false: "application/octet-stream"}[body == m]).oneOf([]int{200, 202, 503})
				all := strings.ToLower(string(ans.Body) + strings.Join(ans.Header.Values("Server"), ""))
				for _, word := range []string{bucket, strings.TrimPrefix(gateway, "http://"), "internalerror", "s3", cluster.AccessKey + ":"} {
					if ans.Status >= 400 && strings.Contains(all, word) {
						a.Errorf("%s tells %q: %s", do, word, ans.Body)
					}
				}
			}
		}},
		{number: "A45", name: "who serves, and with what", run: func(a *attack) {
			for _, do := range []string{"GET /v2/", "GET /v2/" + a.repo + "/tags/list", "GET /nothing", "GET /livez", "OPTIONS /v2/", "TRACE /v2/"} {
				method, _, _ := strings.Cut(do, " ")
				ans, err := a.try(a.text("alice", do, ""))
				if err != nil {
					a.Fatal(err)
				}
				a.leaks(ans)
				ans.has("!Server", "!X-Powered-By", "!Via")
				if method == "TRACE" && ans.Status < 400 {
					a.Errorf("TRACE is answered %d: %s", ans.Status, clip(string(ans.Body)))
				}
			}
		}},
		{number: "A55", name: "a configuration full of secrets, and a directory that is down", at: once, run: func(a *attack) {
			cfg := a.bucket(a.gateways(a)[0], nil)
			cfg["storage"].(map[string]any)["cacheDriver"] = map[string]any{"name": "redis", "url": "redis://user:canary-redis-1@127.0.0.1:1", "password": "canary-redis-2"}
			cfg["cluster"] = map[string]any{"members": []string{"127.0.0.1:1"}, "hashKey": "canary-hashkey-3"}
			cfg["http"].(map[string]any)["auth"] = map[string]any{
				"htpasswd": map[string]any{"path": a.main.htpasswd},
				"ldap": map[string]any{"address": "127.0.0.1", "port": 1, "insecure": true, "baseDN": "dc=example", "userAttribute": "uid",
					"credentialsFile": a.file("ldap.json", `{"bindDN":"cn=reader","bindPassword":"canary-ldap-4"}`)},
				"openid": map[string]any{"providers": map[string]any{"oidc": map[string]any{
					"issuer": "http://127.0.0.1:1", "clientid": "holdfast", "clientsecret": "canary-openid-5", "scopes": []string{"openid"},
				}}},
			}
			file := a.config(cfg)
			shown := ""
			for _, args := range [][]string{{"verify", file}, {"config", "show", file}} {
				code, stdout, stderr := a.outcome(nil, args...)
				if code != 0 {
					a.Errorf("%v: exit status %d: %s%s", args, code, clip(stdout), clip(stderr))
				}
				shown += stdout + stderr
			}
			p := a.serve(file)
			b := a.at(p.address)
			b.ask("", "GET /v2/", basic("alice", a.password("alice"))).is(200)
			// A directory that cannot be asked is neither yes nor no.
			b.ask("", "GET /v2/", basic("nobody-here", "canary-password-6")).is(503, "UNAVAILABLE")
			for _, target := range []string{"//evil.example", "https://evil.example", "/%5Cevil.example"} { // a page for people, not an error of the API
				b.raw("GET /zot/auth/login?provider=oidc&callback_ui=" + target + " HTTP/1.1\nHost: registry.test\nConnection: close\n\n").oneOf([]int{400, 502, 503}).has("!Location")
			}
			b.ask("", "GET /v2/_catalog", "Cookie: session=canary-cookie-7", "Authorization: Bearer canary-token-8").is(401)
			a.noCanary(shown+p.text(a), "canary-redis-1", "canary-redis-2", "canary-hashkey-3", "canary-ldap-4", "canary-openid-5", "canary-password-6", "canary-cookie-7", "canary-token-8",
				a.password("alice"), cluster.SecretKey)
		}},
		{number: "A55", name: "secrets in logs and metrics", at: once, last: true, run: func(a *attack) {
			planted := []string{"canary-cookie-1", "canary-query-2", "canary-proxy-3", "canary-apikey-4", "canary-token-5"}
			u := a.upload(a.repo)
			for _, replica := range a.main.replicas {
				b := a.at(replica)
				for _, path := range []string{
					"/v2/", "/v2/_catalog", "/v2/" + a.repo + "/manifests/v1", "/v2/" + a.repo + "/tags/list", u, "/metrics", "/livez",
					"/zot/auth/apikey", "/zot/auth/token", "/v2/_holdfast/gc", "/config", "/nothing",
				} {
					for _, heads := range [][]string{
						{}, {"Authorization: Bearer canary-token-5"}, {basic("alice", "canary-wrong-password")}, {"Authorization: canary-token-5"},
					} {
						heads = append(heads, "Cookie: session=canary-cookie-1", "Proxy-Authorization: Basic canary-proxy-3", "X-Api-Key: canary-apikey-4")
						ans, err := b.stranger().try(b.text("alice", "GET "+path+"?password=canary-query-2&access_token=canary-query-2", "", heads...))
						if err != nil {
							a.Fatal(err)
						}
						a.noCanary(string(ans.Body), planted[:5]...)
					}
				}
			}
			for _, password := range a.passwords {
				planted = append(planted, password)
			}
			for name, hash := range a.hashes {
				planted = append(planted, hash[10:], name+":"+a.passwords[name])
			}
			planted = append(planted, "canary-wrong-password", cluster.SecretKey, u[strings.LastIndex(u, "/")+1:])
			time.Sleep(100 * time.Millisecond) // the last lines
			size := 0
			for _, s := range []*site{a.main, a.limited} {
				for n := range s.replicas {
					text, err := os.ReadFile(s.LogFile(n + 1))
					if err != nil {
						a.Fatal(err)
					}
					size += len(text)
					a.noCanary(string(text), planted...)
				}
			}
			for _, replica := range a.main.replicas {
				a.noCanary(string(a.at(replica).ask("adam", "GET /metrics").is(200).Body), planted...)
			}
			a.measured("%d secrets were looked for in %d KiB of logs", len(planted), size>>10)
		}},
	}
}
