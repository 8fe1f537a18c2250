package logins

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestTokens: clients that are given a token in place of a name and a password, as jobs do it: an identity token of the provider that is itself the token of each
// request, and a refresh token of our own endpoint, which clients bring back for others.
func TestTokens(t *testing.T) {
	s := newSite(t, []string{"alice"})
	s.provide()
	s.start(object{"auth": object{"htpasswd": object{"path": s.htpasswd()}, "token": object{}, "bearer": object{"oidc": []object{{
		"issuer": s.provider.Issuer, "audiences": []string{clientID}, "claimMapping": object{"username": "'job-' + claims.sub"},
	}}}}})
	// A balancer that ends TLS says so, and clients are sent on by https: some go nowhere else from there, and with the others a password would travel in the clear.
	for _, proto := range []string{"http", "https"} {
		replica := s.cluster.Replicas[1]
		want := `Bearer realm="` + proto + "://" + strings.TrimPrefix(replica, "http://") + `/auth/token"`
		if got := ask(t, http.MethodGet, replica+"/v2/", "", "X-Forwarded-Proto", proto).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, want) {
			t.Errorf("behind %s the challenge is %s, want %s", proto, got, want)
		}
	}
	identity := s.idToken(t, "alice")
	_, refresh := tokens(t, s.base, "alice")
	seatOf := func(t *testing.T, client string) *seat { return &seat{t: t, host: s.host, repo: "tokens/" + client} }
	// keep writes a token where docker's and podman's clients keep what they know of a registry.
	keep := func(s *seat, file, kind, token string) {
		text, err := json.Marshal(object{"auths": object{s.host: object{kind: token, "auth": "PHRva2VuPjo="}}}) // the name <token>, as docker has it
		if err != nil {
			t.Fatal(err)
		}
		s.write(file, string(text))
	}
	both := func(t *testing.T, s session) {
		t.Helper()
		for _, do := range []func() error{s.push, s.pull} {
			if err := do(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, spoil := range []bool{false, true} {
		identity, refresh, name := identity, refresh, "Right"
		if spoil {
			identity, refresh, name = another(identity), another(refresh), "Wrong"
		}
		check := both
		if spoil {
			check = func(t *testing.T, s session) {
				t.Helper()
				if err := mustFail(s.push()); err != nil {
					t.Error(err)
				}
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Run("IdentityTokenCrane", func(t *testing.T) {
				seat := seatOf(t, "crane")
				s := sitCrane(seat)
				keep(seat, "config.json", "registrytoken", identity)
				check(t, s)
			})
			t.Run("IdentityTokenSkopeo", func(t *testing.T) {
				seat := seatOf(t, "skopeo")
				s := sitSkopeo(seat).(*skopeo)
				err := s.try("--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-registry-token="+identity, "oci:"+s.image.Dir+":1", "docker://"+s.ref())
				if spoil {
					err = mustFail(err)
				}
				if err != nil {
					t.Error(err)
				}
			})
			t.Run("RefreshTokenCrane", func(t *testing.T) {
				seat := seatOf(t, "crane-refresh")
				s := sitCrane(seat)
				keep(seat, "config.json", "identitytoken", refresh)
				check(t, s)
			})
			t.Run("RefreshTokenSkopeo", func(t *testing.T) {
				seat := seatOf(t, "skopeo-refresh")
				s := sitSkopeo(seat)
				keep(seat, "auth.json", "identitytoken", refresh)
				check(t, s)
			})
			t.Run("RefreshTokenOras", func(t *testing.T) {
				seat := seatOf(t, "oras-refresh")
				s := sitOras(seat).(*oras)
				err := s.try("login", "--plain-http", "--identity-token", refresh, s.host)
				if spoil {
					err = mustFail(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				check(t, s)
			})
			if os.Getenv("HOLDFAST_TEST_LOGINS") == "full" {
				t.Run("RefreshTokenPodman", func(t *testing.T) {
					seat := seatOf(t, "podman-refresh")
					s := sitPodman(seat)
					keep(seat, "auth.json", "identitytoken", refresh)
					check(t, s)
				})
			}
		})
	}
}
