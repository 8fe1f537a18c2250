package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEdge(t *testing.T) {
	c, r := mustLoad(t, "c.yaml", local+`http:
  externalUrl: https://registry.example.com/
  allowOrigin: "https://a.example.com, https://b.example.com"
  tls: {cert: /c, key: /k, cacert: /a}
  trustedProxies: [10.0.0.0/8, 192.0.2.7, "2001:db8::/32"]
  proxyProtocol: true
  ratelimit: {rate: 10, methods: [{method: get, rate: 5}, {method: PUT, rate: "2"}]}
  limits: {clientConcurrency: 100, minBodyRate: 2KiB}
`)
	if len(r) != 0 {
		t.Errorf("%v", r)
	}
	want := HTTP{
		TLS:    TLS{Cert: "/c", Key: "/k", CACert: "/a"},
		Limits: Limits{Rate: 10, MethodRates: []MethodRate{{"GET", 5}, {"PUT", 2}}, ClientConcurrency: 100, MinBodyRate: 2048},
		Proxy: Proxy{Trusted: []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"}, Protocol: true, ExternalURL: "https://registry.example.com",
			AllowOrigin: []string{"https://a.example.com", "https://b.example.com"}},
	}
	got := HTTP{TLS: c.HTTP.TLS, Limits: c.HTTP.Limits, Proxy: c.HTTP.Proxy}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, _ := mustLoad(t, "c.yaml", c.Redacted())
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("what is shown says something else (-want +got):\n%s\n%s", diff, c.Redacted())
	}
	c, _ = mustLoad(t, "c.yaml", local+"http: {h2c: true, limits: {minBodyRate: 0}}\n")
	if c.HTTP.Limits.MinBodyRate != 0 || !c.HTTP.Proxy.H2C {
		t.Errorf("%+v", c.HTTP)
	}
	if c, _ = mustLoad(t, "c.yaml", local); c.HTTP.Limits.MinBodyRate != 1024 || c.HTTP.Limits.Rate != 0 || c.HTTP.Limits.ClientConcurrency != 0 {
		t.Errorf("where the file does not say: %+v", c.HTTP.Limits)
	}
}

// Each part of http has the problems and warnings that are listed; those of http.auth as a whole are not looked at.
func TestEdgeProblems(t *testing.T) {
	for name, row := range map[string]struct {
		http string
		want []string // parts of problems and warnings
	}{
		"TLS":                   {"tls: {cert: c, key: k}", nil},
		"no key":                {"tls: {cert: c}", []string{"http.tls.key: is missing"}},
		"no certificate":        {"tls: {key: k}", []string{"http.tls.cert: is missing"}},
		"authorities alone":     {"tls: {cacert: a}", []string{"http.tls.cacert: asks clients for certificates without TLS"}},
		"a key that is no path": {"tls: {cert: c, key: [hunter2]}", []string{"http.tls.key: has the wrong type: got a list"}},
		"h2c beside TLS":        {"tls: {cert: c, key: k}, h2c: true", []string{"http.h2c: has no effect"}},
		"proxies":               {"trustedProxies: [10.0.0.0/8, proxy]", []string{`http.trustedProxies: has an item that is neither a network in CIDR nor an address: got "proxy"`}},
		"a network too long":    {"trustedProxies: 10.0.0.0/33", []string{"http.trustedProxies: has an item that is neither"}},
		"everybody":             {"trustedProxies: 0.0.0.0/0", []string{"http.trustedProxies: trusts everybody"}},
		"PROXY from nobody":     {"proxyProtocol: true", []string{"http.proxyProtocol: is taken from nobody"}},
		"external URL":          {"externalUrl: registry.example.com", []string{"http.externalUrl: is not a URL that clients could have"}},
		"a secret in it":        {`externalUrl: "https://me:hunter2@registry"`, []string{`got "https://***@registry"`}},
		"origins":               {"allowOrigin: [https://a/, b, '*', https://c]", []string{`http.allowOrigin: has an item that is not an origin: got "https://a/"`, `got "b"`}},
		"rates":                 {"ratelimit: {rate: -1, methods: [{rate: 5}]}", []string{"http.ratelimit.rate: is negative", "http.ratelimit.methods: has an item without a method"}},
		"limits":                {"limits: {clientConcurrency: many, minBodyRate: -5}", []string{"http.limits.clientConcurrency: is not a whole number", "http.limits.minBodyRate: is out of range"}},
		"identities":            {"tls: {cert: c, key: k, cacert: a}, auth: {mtls: {identityAttributes: [cn, URL, dns]}}", nil},
		"identities without TLS": {"auth: {mtls: {identityAttributes: [CommonName]}}",
			[]string{"http.auth.mtls: has no certificates to read"}},
		"unknown attributes": {"tls: {cert: c, key: k, cacert: a}, auth: {mtls: {identityAttributes: [Serial, CN], uriSanPattern: '(', uriSanIndex: -1}}",
			[]string{`http.auth.mtls.identityAttributes: has an item that is no attribute of a certificate: got "Serial"`, "http.auth.mtls.uriSanPattern: is not a regular expression", "http.auth.mtls.uriSanIndex: is negative"}},
		"a pattern without a group": {"tls: {cert: c, key: k, cacert: a}, auth: {mtls: {identityAttributes: URI, uriSanPattern: '^a$'}}",
			[]string{"http.auth.mtls.uriSanPattern: has no group"}},
	} {
		_, r, _ := loadText("c.yaml", local+"http: {"+row.http+"}\n")
		var got []string
		for _, p := range r.Problems {
			if p.Path != "http.auth" {
				got = append(got, p.String())
			}
		}
		got = append(got, warnings(r)...)
		if len(got) != len(row.want) {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range row.want {
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if strings.Contains(strings.Join(got, ""), "hunter2") {
			t.Errorf("%s: shows what it should hide", name)
		}
	}
}
