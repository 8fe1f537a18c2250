package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// The providers that zot knows. All but ProviderGitHub speak OpenID.
const (
	ProviderGoogle = "google"
	ProviderGitLab = "gitlab"
	ProviderOIDC   = "oidc"
	ProviderGitHub = "github"
)

// openIDKeys are the keys of logins with a browser, of http.auth.
func openIDKeys() []key {
	keys := []key{
		{path: "secureSession", kind: parseBool, into: func(t *target) any { return &t.config.HTTP.Auth.SecureSession }},
		{path: "sessionKeysFile", kind: parsePath, state: ignored, text: "is not needed: sessions are sealed under a secret that all replicas have from the store"},
		{path: "sessionDriver", kind: anything, state: ignored, text: "is not needed: sessions are in the store, and the same at every replica"},
		{path: "openid", into: func(t *target) any { return &t.config.HTTP.Auth.OpenID }},
		{path: "openid.callbackAllowOrigins", kind: parseTexts, into: func(t *target) any { return &openIDOf(t).CallbackAllowOrigins }},
		{path: "openid.providers", named: addProvider, names: func(t *target) []string { return slices.Sorted(maps.Keys(openIDOf(t).Providers)) }},
	}
	return append(keys, below("openid.providers.*", []key{
		{path: "name", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).Name }},
		{path: "clientid", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).ClientID }},
		{path: "clientsecret", kind: parseText, hidden: true, into: func(t *target) any { return &itemOf[Provider](t).ClientSecret }},
		{path: "credentialsFile", kind: parsePath, into: func(t *target) any { return &itemOf[Provider](t).CredentialsFile }},
		{path: "keypath", kind: parsePath, state: ignored, text: "has no effect: the registry shows the provider its clientsecret, not a key"},
		{path: "issuer", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).Issuer }},
		{path: "authurl", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).AuthURL }},
		{path: "tokenurl", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).TokenURL }},
		{path: "scopes", kind: parseTexts, into: func(t *target) any { return &itemOf[Provider](t).Scopes }},
		{path: "claimMapping.username", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).Username }},
		{path: "claimMapping.groups", kind: parseText, into: func(t *target) any { return &itemOf[Provider](t).Groups }},
	})...)
}

// openIDOf is the section, or a new one where the table is only read.
func openIDOf(t *target) *OpenID {
	if o := t.config.HTTP.Auth.OpenID; o != nil {
		return o
	}
	return new(OpenID)
}

func addProvider(t *target, name string) *target {
	o := openIDOf(t)
	if o.Providers == nil {
		o.Providers = map[string]*Provider{}
	}
	if o.Providers[name] == nil {
		o.Providers[name] = new(Provider)
	}
	return t.in(o.Providers[name])
}

// openID reads the credentials of the providers, and checks what one key cannot know of another.
func (w *walker) openID(h *HTTP) {
	const path = "http.auth.openid"
	o := h.Auth.OpenID
	if o == nil || w.failed(path) {
		return
	}
	for i, origin := range o.CallbackAllowOrigins {
		if !isURL(origin) {
			w.wrongAt(path+".callbackAllowOrigins", fmt.Sprintf("has an item (%d) that is not an origin", i), show(origin), `origins, as "https://ui.example.com"`)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Providers)) {
		w.provider(name, o.Providers[name], join(path+".providers", showKey(name)))
	}
	if len(o.Providers) == 0 {
		h.Auth.OpenID = nil
		return
	}
	h.Auth.APIKey = true // as in zot: who logs in with a browser has no password for other clients
	if h.Proxy.ExternalURL == "" && !w.failed("http.externalUrl") {
		w.warn("http.externalUrl", "is not given: providers are told http.address and http.port for the way back, which people's browsers must reach, at every replica")
	}
}

func (w *walker) provider(name string, p *Provider, path string) {
	switch name {
	case ProviderGoogle, ProviderGitLab, ProviderOIDC, ProviderGitHub:
	default:
		w.wrongAt(path, "is not a provider", show(showKey(name)), "google, gitlab, oidc or github")
		return
	}
	if p.CredentialsFile != "" {
		w.credentials(p.CredentialsFile, path+".credentialsFile", map[string]func(string){
			"clientid":     func(v string) { p.ClientID = v },
			"clientsecret": func(v string) { p.ClientSecret = Secret(v) },
		})
	} else if p.ClientID == "" && !w.failed(path+".clientid") {
		w.wrongAt(path+".clientid", "is missing", "", "it, or a credentialsFile")
	}
	for _, of := range []struct{ name, value string }{{"issuer", p.Issuer}, {"authurl", p.AuthURL}, {"tokenurl", p.TokenURL}} {
		at := path + "." + of.name
		switch {
		case of.value == "" && (of.name != "issuer" || name == ProviderGitHub) || w.failed(at):
		case of.value == "":
			w.wrongAt(at, "is missing", "", "the provider's URL, as it calls itself")
		case !isURL(of.value):
			w.wrongAt(at, "is not a URL", show(of.value), `one as "https://accounts.example.com"`)
		case !isPrivate(of.value):
			w.warn(at, "is not https: whoever is between here and the provider can log in as anybody")
		}
	}
	switch custom := p.AuthURL != "" || p.TokenURL != ""; {
	case custom && name != ProviderGitHub:
		w.warn(path+".authurl, "+path+".tokenurl", "have no effect: the issuer says where they are")
	case custom && (p.AuthURL == "" || p.TokenURL == ""):
		w.wrongAt(path, "has authurl or tokenurl alone", "", "both, or neither")
	}
}

// isURL reports whether text is the absolute URL of a server, without a password and what comes after a path.
func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// isPrivate reports whether what is sent to a URL stays unread on the way: it is https, or does not leave the machine.
func isPrivate(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}
