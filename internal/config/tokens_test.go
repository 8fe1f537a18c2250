package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withTokens = `
storage: {rootDirectory: /d}
http:
  auth:
    apikey: true
    bearer:
      realm: https://auth.example.com/token
      service: registry
      cert: /keys.pem
      oidc:
        - issuer: https://kubernetes.default.svc
          audiences: [registry, "https://registry.example.com"]
          certificateAuthorityFile: /ca.pem
          claimMapping:
            username: vars.ns + '/' + claims.sub
            groups: claims.groups
            variables: [{name: ns, expression: "claims.sub.split(':')[2]"}, {name: other, expression: "1"}]
            validations: [{expression: "vars.ns != 'x'", message: not x}]
        - issuer: http://localhost:9000
          audiences: a,b
`

func TestTokens(t *testing.T) {
	c, warnings := mustLoad(t, "c.yaml", withTokens)
	want := &Bearer{
		Realm: "https://auth.example.com/token", Service: "registry", Cert: "/keys.pem",
		OIDC: []OIDC{
			{Issuer: "https://kubernetes.default.svc", Audiences: []string{"registry", "https://registry.example.com"}, CertificateAuthorityFile: "/ca.pem", Mapping: ClaimMapping{
				Username: "vars.ns + '/' + claims.sub", Groups: "claims.groups", Variables: []Variable{{"ns", "claims.sub.split(':')[2]"}, {"other", "1"}}, Validations: []Validation{{"vars.ns != 'x'", "not x"}},
			}},
			{Issuer: "http://localhost:9000", Audiences: []string{"a", "b"}},
		},
	}
	if diff := cmp.Diff(want, c.HTTP.Auth.Bearer); diff != "" || !c.HTTP.Auth.APIKey {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, _ := mustLoad(t, "c.yaml", c.Redacted())
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("what it shows is something else (-was +read again):\n%s", diff)
	}
	for _, one := range warnings {
		if strings.Contains(one, "bearer") {
			t.Errorf("%+v", one)
		}
	}
}

// TestTokensOff: nothing of it is on where the file does not say so, also after it was shown.
func TestTokensOff(t *testing.T) {
	for text, on := range map[string]bool{
		"": false, "auth: {}": false, "auth: {htpasswd: {path: p}, token: {enable: false, service: x}}": false, "auth: {htpasswd: {path: p}, token: {}}": true,
		"auth: {htpasswd: {path: p}, token: {service: x}}": true, "auth: {token: {}}": false, "auth: {bearer: {realm: '', cert: ''}}": false,
	} {
		c, _ := mustLoad(t, "c.yaml", "storage: {rootDirectory: /d}\nhttp:\n  "+text+"\n")
		_ = c.Redacted()
		if a := c.HTTP.Auth; a.Bearer != nil || a.APIKey || a.Token.Enabled != on {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

// TestTokenProblems: all that is wrong is said at once.
func TestTokenProblems(t *testing.T) {
	_, r, err := loadText("c.yaml", `
storage: {rootDirectory: /d}
http:
  auth:
    token: {service: 'a "b"'}
    bearer:
      realm: nowhere
      cert: /c
      awsSecretsManager: {region: r, secretName: n}
      upstreamTokenEndpoint: {realm: "https://x", service: s}
      oidc:
        - {}
        - {issuer: "not a url", audiences: [""], certificateAuthority: a, certificateAuthorityFile: b, skipIssuerVerification: true}
        - {issuer: "http://far.example.com", audiences: [a], claimMapping: {variables: [{name: x}], validations: [{expression: x}]}}
`)
	if err == nil {
		t.Fatal("it was loaded")
	}
	said := err.Error()
	for _, w := range r.Warnings {
		said += "\n" + w.Path + " " + w.Text
	}
	for _, want := range []string{
		"http.auth.bearer.awsSecretsManager", "http.auth.bearer.realm", "http.auth.token: gives tokens", "http.auth.token.service", "oidc[0].issuer: is missing", "oidc[0].audiences: is missing",
		"oidc[1].issuer: is not a URL", "oidc[1].audiences", "oidc[1].certificateAuthorityFile", "oidc[2].claimMapping.variables[0]", "oidc[2].claimMapping.validations[0]",
		"oidc[1].skipIssuerVerification", "oidc[2].issuer is http", "upstreamTokenEndpoint requests for tokens",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing of %q in\n%s", want, said)
		}
	}
	_, _, err = loadText("c.yaml", "storage: {rootDirectory: /d}\nhttp: {auth: {bearer: {realm: 'https://x/token'}}}\n")
	if err == nil || !strings.Contains(err.Error(), "bearer.service: is missing") || !strings.Contains(err.Error(), "bearer.cert: is missing") {
		t.Errorf("%v", err)
	}
}
