package logins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/provider"
	"holdfast/test/slapd"
)

// A way is how a registry is configured, and what people show it.
type way struct {
	name string
	// http is what the configuration has in its section http. What it needs beside the registry is started.
	http func(s *site) map[string]any
	// secret is what a person types for a password; nil: the password.
	secret func(t *testing.T, s *site, person string) string
	// spoilt makes of the right secret a wrong one; nil: another password.
	spoilt func(secret string) string
	// anonymous: who does not log in may pull.
	anonymous bool
	// guests may log in too, and pull.
	guests bool
	// refreshes: who logs in by the token endpoint may keep a refresh token in place of the secret.
	refreshes bool
	// certificate: who one is says a certificate, and there is no password.
	certificate bool
}

type object = map[string]any

var ways = []way{
	{name: "password", guests: true, http: func(s *site) object {
		return object{"auth": object{"htpasswd": object{"path": s.htpasswd()}}, "accessControl": s.rules()}
	}},
	{name: "token endpoint", refreshes: true, http: func(s *site) object {
		return object{"auth": object{"htpasswd": object{"path": s.htpasswd()}, "token": object{}}}
	}},
	{name: "anonymous pull", anonymous: true, guests: true, refreshes: true, http: func(s *site) object {
		return object{"auth": object{"htpasswd": object{"path": s.htpasswd()}}, "accessControl": s.rules("read")}
	}},
	{name: "tokens, TLS", refreshes: true, http: func(s *site) object {
		s.tls = between
		return object{"auth": object{"htpasswd": object{"path": s.htpasswd()}, "token": object{}}}
	}},
	{name: "API key", spoilt: another, http: func(s *site) object {
		return object{"auth": object{"htpasswd": object{"path": s.htpasswd()}, "apikey": true}}
	}, secret: func(t *testing.T, s *site, person string) string {
		made, _ := key(t, s.base, basic(person, password)...)
		return made
	}},
	{name: "certificate", certificate: true, http: func(s *site) object {
		s.tls = through
		return object{"auth": object{"mtls": object{"identityAttributes": []string{"CommonName"}}}}
	}},
	{name: "OIDC token", spoilt: another, http: func(s *site) object {
		s.provide()
		return object{"auth": object{"token": object{}, "bearer": object{"oidc": []object{{
			"issuer": s.provider.Issuer, "audiences": []string{clientID}, "claimMapping": object{"username": "claims.sub"},
		}}}}}
	}, secret: func(t *testing.T, s *site, person string) string { return s.idToken(t, person) }},
	{name: "browser, key", spoilt: another, http: func(s *site) object {
		s.provide()
		return object{"externalUrl": s.base, "auth": object{"token": object{}, "apikey": true, "openid": openID(s)}}
	}, secret: func(t *testing.T, s *site, person string) string {
		b := provider.NewBrowser(nil)
		browse(t, b, s.base, person, func() {})
		made, _ := key(t, s.base, cookies(t, b, s.base)...)
		return made
	}},
	{name: "token server", http: func(s *site) object {
		realm, key := s.tokenServer("registry.example")
		return object{"auth": object{"bearer": object{"realm": realm, "service": "registry.example", "cert": key}}}
	}},
	{name: "LDAP", http: func(s *site) object {
		var people []slapd.Person
		for _, name := range s.people {
			people = append(people, slapd.Person{UID: name, Password: password})
		}
		dir := filepath.Join(s.dir, "slapd")
		if err := os.Mkdir(dir, 0o700); err != nil {
			s.t.Fatal(err)
		}
		d, err := slapd.Start(s.t.Context(), dir, people...)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(d.Kill)
		return object{"auth": object{"ldap": object{
			"address": "127.0.0.1", "port": d.TLSPort, "caCert": d.CAFile, "baseDN": slapd.PeopleDN, "userAttribute": "uid",
			"bindDN": slapd.SearcherDN, "bindPassword": slapd.SearcherPass,
		}}}
	}},
}

// guest is somebody who may only pull.
const guest = "guest"

// rules let people do everything, guests pull, and everybody do what is said.
func (s *site) rules(everybody ...string) object {
	return object{"repositories": object{"**": object{
		"anonymousPolicy": everybody, "defaultPolicy": []string{"read"},
		"policies": []object{{"users": s.people, "actions": []string{"read", "create", "update", "delete"}}},
	}}}
}

func openID(s *site) object {
	return object{"providers": object{"oidc": object{
		"clientid": clientID, "clientsecret": clientSecret, "issuer": s.provider.Issuer, "scopes": []string{"openid", "email", "profile"}, "claimMapping": object{"username": "preferred_username"},
	}}}
}

// another is a key or a token that is not the one: a letter in its last part differs.
func another(secret string) string {
	at := len(secret) - 10
	letter := "a"
	if secret[at] == 'a' {
		letter = "b"
	}
	return secret[:at] + letter + secret[at+1:]
}

// at starts a site for a way.
func (w way) at(t *testing.T, people []string) *site {
	t.Helper()
	s := newSite(t, people)
	s.start(w.http(s))
	return s
}

func (w way) right(t *testing.T, s *site, person string) string {
	t.Helper()
	if w.secret == nil {
		return password
	}
	return w.secret(t, s, person)
}

func (w way) wrong(right string) string {
	if w.spoilt == nil {
		return "wrong-horse"
	}
	return w.spoilt(right)
}

// slug is a way's name as a part of a repository's.
func (w way) slug() string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(w.name))
}
