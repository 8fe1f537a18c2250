package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// tokenKeys are the keys of http.auth that are about tokens and API keys.
func tokenKeys() []key {
	keys := []key{
		{path: "apikey", kind: parseBool, into: func(t *target) any { return &t.config.HTTP.Auth.APIKey }},
		{path: "token", into: func(t *target) any { return &t.config.HTTP.Auth.Token.Enabled }},
		{path: "token.enable", kind: parseBool, into: func(t *target) any { return &t.config.HTTP.Auth.Token.Enabled }},
		{path: "token.service", kind: parseText, into: func(t *target) any { return &t.config.HTTP.Auth.Token.Service }},
		{path: "bearer.realm", kind: parseText, into: func(t *target) any { return &bearer(t).Realm }},
		{path: "bearer.service", kind: parseText, into: func(t *target) any { return &bearer(t).Service }},
		{path: "bearer.cert", kind: parsePath, into: func(t *target) any { return &bearer(t).Cert }},
		{path: "bearer.awsSecretsManager", state: refused, text: "keys in AWS Secrets Manager are not read in this version", want: "http.auth.bearer.cert, a file with the key, as a secret that is mounted"},
		{path: "bearer.awsSecretsManager.region", kind: parseText, state: silent},
		{path: "bearer.awsSecretsManager.secretName", kind: parseText, state: silent},
		{path: "bearer.awsSecretsManager.refreshInterval", kind: parseDuration, state: silent},
		{path: "bearer.upstreamTokenEndpoint", state: ignored, text: "requests for tokens are not passed on in this version: clients ask the server that bearer.realm names"},
		{path: "bearer.upstreamTokenEndpoint.realm", kind: parseText, state: silent},
		{path: "bearer.upstreamTokenEndpoint.service", kind: parseText, state: silent},
		{path: "bearer.upstreamTokenEndpoint.allowInsecureHttp", kind: parseBool, state: silent},
		{path: "bearer.oidc[]", add: addIssuer, items: issuers},
	}
	return append(keys, below("bearer.oidc[]", []key{
		{path: "issuer", kind: parseText, into: func(t *target) any { return &itemOf[OIDC](t).Issuer }},
		{path: "audiences", kind: parseTexts, into: func(t *target) any { return &itemOf[OIDC](t).Audiences }},
		{path: "certificateAuthority", kind: parseText, into: func(t *target) any { return &itemOf[OIDC](t).CertificateAuthority }},
		{path: "certificateAuthorityFile", kind: parsePath, into: func(t *target) any { return &itemOf[OIDC](t).CertificateAuthorityFile }},
		{path: "skipIssuerVerification", kind: parseBool, into: func(t *target) any { return &itemOf[OIDC](t).SkipIssuerVerification }},
		{path: "claimMapping.username", kind: parseText, into: func(t *target) any { return &itemOf[OIDC](t).Mapping.Username }},
		{path: "claimMapping.groups", kind: parseText, into: func(t *target) any { return &itemOf[OIDC](t).Mapping.Groups }},
		{path: "claimMapping.variables[]", add: addVariable, items: variables},
		{path: "claimMapping.variables[].name", kind: parseText, into: func(t *target) any { return &itemOf[Variable](t).Name }},
		{path: "claimMapping.variables[].expression", kind: parseText, into: func(t *target) any { return &itemOf[Variable](t).Expression }},
		{path: "claimMapping.validations[]", add: addValidation, items: validations},
		{path: "claimMapping.validations[].expression", kind: parseText, into: func(t *target) any { return &itemOf[Validation](t).Expression }},
		{path: "claimMapping.validations[].message", kind: parseText, into: func(t *target) any { return &itemOf[Validation](t).Message }},
	})...)
}

// bearer is the section; a new one where there is none and the table is only read.
func bearer(t *target) *Bearer {
	if b := t.config.HTTP.Auth.Bearer; b != nil {
		return b
	}
	return new(Bearer)
}

func addIssuer(t *target) *target { return addItem(t, &bearer(t).OIDC) }
func issuers(t *target) []*target { return itemsOf(t, bearer(t).OIDC) }

func addVariable(t *target) *target { return addItem(t, &itemOf[OIDC](t).Mapping.Variables) }
func variables(t *target) []*target { return itemsOf(t, itemOf[OIDC](t).Mapping.Variables) }

func addValidation(t *target) *target { return addItem(t, &itemOf[OIDC](t).Mapping.Validations) }
func validations(t *target) []*target { return itemsOf(t, itemOf[OIDC](t).Mapping.Validations) }

// tokens checks what the keys of tokens say together.
func (w *walker) tokens(a *Auth) {
	const path = "http.auth.bearer"
	b := a.Bearer
	server := b.Realm != "" || b.Service != "" || b.Cert != ""
	if !server && len(b.OIDC) == 0 {
		a.Bearer = nil
	}
	if server && (b.Cert != "" || len(b.OIDC) == 0) && !w.failed(path+".awsSecretsManager") {
		for _, one := range []struct{ key, value, want string }{
			{"realm", b.Realm, "the URL of the token server"}, {"service", b.Service, "what tokens call this registry"}, {"cert", b.Cert, "a file with the token server's certificate, public key or JWKS"},
		} {
			if one.value == "" && !w.failed(path+"."+one.key) {
				w.wrongAt(path+"."+one.key, "is missing", "", one.want)
			}
		}
	}
	if b.Realm != "" && !isWebURL(b.Realm) && b.Cert != "" {
		w.wrongAt(path+".realm", "is not a URL", show(b.Realm), `one that clients can reach, as "https://auth.example.com/token"`)
	}
	if a.Token.Enabled && b.Cert != "" {
		w.wrongAt("http.auth.token", "gives tokens, and so does the server of http.auth.bearer", "both", "one of the two: a challenge names one token server")
	}
	if strings.ContainsFunc(a.Token.Service+b.Service, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
		w.wrongAt("http.auth.token.service", "has characters that do not fit into a header", "it", "a name of letters, digits and punctuation but quotes")
	}
	for i := range b.OIDC {
		w.issuer(&b.OIDC[i], fmt.Sprintf("%s.oidc[%d]", path, i))
	}
}

// issuer checks an issuer of identity tokens. Whether expressions compile whoever uses them says.
func (w *walker) issuer(o *OIDC, path string) {
	missing := func(key, want string) {
		if !w.failed(path + key) {
			w.wrongAt(path+key, "is missing", "", want)
		}
	}
	switch u, err := url.Parse(o.Issuer); {
	case o.Issuer == "":
		missing(".issuer", `the issuer's URL, as "https://kubernetes.default.svc.cluster.local"`)
	case !isWebURL(o.Issuer) || err != nil:
		w.wrongAt(path+".issuer", "is not a URL", show(o.Issuer), "the issuer's URL, as its tokens have it in the claim iss")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		w.warn(path+".issuer", "is http: whoever is between here and there makes any token he likes")
	}
	for i, a := range o.Audiences {
		o.Audiences[i] = strings.TrimSpace(a)
	}
	if len(strings.Join(o.Audiences, "")) == 0 {
		missing(".audiences", "what tokens for this registry have in their claim aud")
	} else if containsEmpty(o.Audiences) {
		w.wrongAt(path+".audiences", "has an empty item", `""`, "audiences")
	}
	if o.CertificateAuthority != "" && o.CertificateAuthorityFile != "" {
		w.wrongAt(path+".certificateAuthorityFile", "is given beside certificateAuthority", "both", "one of the two")
	}
	if o.SkipIssuerVerification {
		w.warn(path+".skipIssuerVerification", "the issuer that a token names is not looked at: for tests alone")
	}
	for i, v := range o.Mapping.Variables {
		at := fmt.Sprintf("%s.claimMapping.variables[%d]", path, i)
		if v.Name == "" || v.Expression == "" {
			w.wrongAt(at, "is not complete", show(v.Name), "name and expression")
		}
	}
	for i, v := range o.Mapping.Validations {
		at := fmt.Sprintf("%s.claimMapping.validations[%d]", path, i)
		if v.Message == "" || v.Expression == "" {
			w.wrongAt(at, "is not complete", show(v.Message), "expression and message")
		}
	}
}

func containsEmpty(list []string) bool {
	for _, one := range list {
		if one == "" {
			return true
		}
	}
	return false
}

// isWebURL reports whether text is a whole URL of the web.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
