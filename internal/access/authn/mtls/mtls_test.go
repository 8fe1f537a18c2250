package mtls_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/mtls"
)

func leaf(t *testing.T, name string, uris ...string) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject:  pkix.Name{CommonName: name, Organization: []string{"Example"}, Country: []string{"CH"}},
		DNSNames: []string{"a.example.com", "b.example.com"}, EmailAddresses: []string{"a@example.com", "b@example.com"},
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

func TestIdentify(t *testing.T) {
	workload := []string{"https://a", "spiffe://example.org/workload/builder"}
	for _, row := range []struct {
		name string
		cfg  mtls.Config
		leaf *x509.Certificate
		want string // "": nobody
	}{
		{"the common name, as zot where nothing is said", mtls.Config{}, leaf(t, "alice"), "alice"},
		{"B65: no common name", mtls.Config{}, leaf(t, ""), ""},
		{"its other name", mtls.Config{Attributes: []string{" cn "}}, leaf(t, "alice"), "alice"},
		{"subject", mtls.Config{Attributes: []string{"Subject"}}, leaf(t, "alice"), "CN=alice,O=Example,C=CH"},
		{"DN", mtls.Config{Attributes: []string{"dn"}}, leaf(t, "alice"), "CN=alice,O=Example,C=CH"},
		{"e-mail", mtls.Config{Attributes: []string{"Email"}}, leaf(t, ""), "a@example.com"},
		{"the second e-mail", mtls.Config{Attributes: []string{"RFC822Name"}, EmailIndex: 1}, leaf(t, ""), "b@example.com"},
		{"a third that is not there", mtls.Config{Attributes: []string{"Email"}, EmailIndex: 2}, leaf(t, "alice"), ""},
		{"DNS", mtls.Config{Attributes: []string{"DNSName"}, DNSIndex: 1}, leaf(t, ""), "b.example.com"},
		{"URI", mtls.Config{Attributes: []string{"URI"}}, leaf(t, "", workload...), "https://a"},
		{"a part of a URI", mtls.Config{Attributes: []string{"url"}, URIIndex: 1, URIPattern: "^spiffe://example.org/workload/(.*)$"}, leaf(t, "", workload...), "builder"},
		{"a URI that does not match", mtls.Config{Attributes: []string{"URI"}, URIPattern: "^spiffe://example.org/workload/(.*)$"}, leaf(t, "alice", workload...), ""},
		{"a URI with an empty name", mtls.Config{Attributes: []string{"URI"}, URIPattern: "^spiffe://a/(.*)$"}, leaf(t, "alice", "spiffe://a/"), ""},
		{"no URI", mtls.Config{Attributes: []string{"URI"}}, leaf(t, "alice"), ""},
		{"no URI, then the common name", mtls.Config{Attributes: []string{"URI", "CommonName"}}, leaf(t, "alice"), "alice"},
		{"the first that is there", mtls.Config{Attributes: []string{"Email", "CommonName"}}, leaf(t, "alice"), "a@example.com"},
		{"a name that breaks lines", mtls.Config{}, leaf(t, "alice\nbob"), ""},
		{"a name that is no text", mtls.Config{}, leaf(t, "alice\xff"), ""},
		{"a name without an end", mtls.Config{}, leaf(t, strings.Repeat("a", 2000)), ""},
	} {
		h, err := mtls.New(row.cfg)
		if err != nil {
			t.Fatal(row.name, err)
		}
		got, err := h.Identify(row.leaf)
		if got.Name != row.want || errors.Is(err, authn.ErrWrong) != (row.want == "") || (err != nil) != (row.want == "") {
			t.Errorf("%s: %q, %v", row.name, got.Name, err)
		}
		if row.want != "" && (got.Way != access.Certificate || got.Limits != nil || got.Groups != nil) {
			t.Errorf("%s: %+v", row.name, got)
		}
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the error shows the name: %v", row.name, err)
		}
	}
}

func TestNew(t *testing.T) {
	for want, cfg := range map[string]mtls.Config{
		`"Serial" is not an attribute`: {Attributes: []string{"CN", "Serial"}},
		"uriSanPattern: error parsing": {URIPattern: "("},
		"no group":                     {URIPattern: "^a$"},
		"emailSanIndex -1":             {EmailIndex: -1},
	} {
		if _, err := mtls.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
