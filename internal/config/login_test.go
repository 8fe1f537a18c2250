package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// auth is a file with a section http.auth, in YAML's flow style.
func auth(section string) string {
	return local + "http: {externalUrl: \"https://registry.example.com\", auth: {" + section + "}}\n"
}

func credentialsFile(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const ldapBase = `address: ldap.example.org, baseDN: "ou=Users,dc=example,dc=org", userAttribute: uid`

func TestLDAP(t *testing.T) {
	file := credentialsFile(t, "ldap.json", `{"bindDN": "cn=searcher", "BINDPASSWORD": "canary-file"}`, 0o600)
	c, w := mustLoad(t, "c.yaml", auth(`ldap: {`+ldapBase+`, port: 389, startTLS: false, userFilter: "(!(nsaccountlock=TRUE))", userGroupAttribute: memberOf, subtreeSearch: true, credentialsFile: `+file+`}`))
	want := &LDAP{Address: "ldap.example.org", Port: 389, SubtreeSearch: true, BaseDN: "ou=Users,dc=example,dc=org", UserAttribute: "uid", UserFilter: "(!(nsaccountlock=TRUE))",
		UserGroupAttribute: "memberOf", CredentialsFile: file, BindDN: "cn=searcher", BindPassword: "canary-file"}
	if diff := cmp.Diff(want, c.HTTP.Auth.LDAP); diff != "" || len(w) > 0 {
		t.Errorf("warnings %q (-want +got)\n%s", w, diff)
	}
	canaries(t, "LDAP", shown(t, c)+c.Redacted())
	again, _ := mustLoad(t, "c.yaml", c.Redacted())
	if diff := cmp.Diff(want, again.HTTP.Auth.LDAP); diff != "" {
		t.Errorf("what is shown does not say the same (-want +got)\n%s\n%s", diff, c.Redacted())
	}
	if c, _ := mustLoad(t, "c.yaml", auth("ldap: {"+ldapBase+`, bindDN: cn=a, bindPasswordFile: `+credentialsFile(t, "p", "secret\n", 0o600)+"}")); c.HTTP.Auth.LDAP.BindPassword != "secret" {
		t.Errorf("%q", string(c.HTTP.Auth.LDAP.BindPassword))
	}
	if c, _ := mustLoad(t, "c.yaml", auth("failDelay: 1, htpasswd: {path: p}")); c.HTTP.Auth.LDAP != nil || c.HTTP.Auth.OpenID != nil || c.Redacted() == "" || c.HTTP.Auth.LDAP != nil || c.HTTP.Auth.OpenID != nil {
		t.Error("there is a section that the file does not have")
	}
	_, w = mustLoad(t, "c.yaml", auth("ldap: {"+ldapBase+`, insecure: true, skipVerify: true}`))
	if len(w) != 2 {
		t.Errorf("%q", w)
	}
}

func TestOpenID(t *testing.T) {
	file := credentialsFile(t, "oidc.yaml", "clientid: registry\nclientsecret: canary-file\n", 0o600)
	c, w := mustLoad(t, "c.yaml", auth(`secureSession: false, sessionKeysFile: /s, sessionDriver: {name: redis, url: "redis://:canary@h"}, openid: {callbackAllowOrigins: ["http://127.0.0.1:3000"], providers: {
    oidc: {name: Corporate SSO, issuer: "http://127.0.0.1:5556/dex", credentialsFile: `+file+`, scopes: [openid, groups], claimMapping: {username: preferred_username, groups: roles}},
    github: {clientid: c, clientsecret: canary-text, keypath: "", scopes: ["read:org"]}}}`))
	want := &OpenID{CallbackAllowOrigins: []string{"http://127.0.0.1:3000"}, Providers: map[string]*Provider{
		"oidc": {Name: "Corporate SSO", Issuer: "http://127.0.0.1:5556/dex", CredentialsFile: file, ClientID: "registry", ClientSecret: "canary-file", Scopes: []string{"openid", "groups"},
			Username: "preferred_username", Groups: "roles"},
		"github": {ClientID: "c", ClientSecret: "canary-text", Scopes: []string{"read:org"}},
	}}
	if diff := cmp.Diff(want, c.HTTP.Auth.OpenID); diff != "" || len(w) != 2 || !c.HTTP.Auth.APIKey || c.HTTP.Auth.SecureSession == nil || *c.HTTP.Auth.SecureSession {
		t.Errorf("warnings %q (-want +got)\n%s", w, diff)
	}
	canaries(t, "OpenID", shown(t, c)+c.Redacted())
	if _, w := mustLoad(t, "c.yaml", local+`http: {auth: {openid: {providers: {google: {clientid: c, issuer: "http://accounts.example.com"}}}}}`); len(w) != 2 {
		t.Errorf("%q", w)
	}
}

func TestLoginProblems(t *testing.T) {
	file := func(text string) string { return credentialsFile(t, "f.json", text, 0o600) }
	for name, tt := range map[string]struct{ section, want string }{
		"LDAP, nothing": {"ldap: {}", `config: http.auth.ldap.address: is missing: want the host of the directory (c.yaml:2:66)
config: http.auth.ldap.baseDN: is missing: want a DN, as "ou=people,dc=example,dc=org" (c.yaml:2:66)
config: http.auth.ldap.userAttribute: is missing: want the name of an attribute, as "uid" (c.yaml:2:66)`},
		"LDAP, wrong": {`ldap: {address: h, baseDN: people, userAttribute: "uid)(", userFilter: "(a", userGroupAttribute: "a b", bindDN: cn=a}`,
			`config: http.auth.ldap.bindPassword: is missing: want bindDN and bindPassword, or neither to search as nobody (c.yaml:2:66)
config: http.auth.ldap.baseDN: is not what it should be: got "people", want a DN, as "ou=people,dc=example,dc=org" (c.yaml:2:87)
config: http.auth.ldap.userAttribute: is not what it should be: got "uid)(", want the name of an attribute, as "uid" (c.yaml:2:110)
config: http.auth.ldap.userFilter: is not what it should be: got "(a", want a filter of LDAP, as "(objectClass=person)" (c.yaml:2:131)
config: http.auth.ldap.userGroupAttribute: is not what it should be: got "a b", want the name of an attribute, as "memberOf" (c.yaml:2:157)`},
		"file, not there": {"ldap: {" + ldapBase + ", credentialsFile: /not/there}", `config: http.auth.ldap.credentialsFile: cannot be read: no such file or directory (c.yaml:2:169)`},
		"file, empty":     {"ldap: {" + ldapBase + ", credentialsFile: " + file(" \n") + "}", `config: http.auth.ldap.credentialsFile: the file is empty: want bindDN and bindPassword in it (c.yaml:2:169)`},
		"file, half":      {"ldap: {" + ldapBase + ", credentialsFile: " + file(`{"bindDN": "hunter2"}`) + "}", `config: http.auth.ldap.credentialsFile: the file has no bindPassword: want bindDN and bindPassword (c.yaml:2:169)`},
		"file, more": {"ldap: {" + ldapBase + ", credentialsFile: " + file(`{"bindDN": "hunter2", "hunter2": "hunter2"}`) + "}",
			`config: http.auth.ldap.credentialsFile: the file has a key that is not known, or one twice: want bindDN and bindPassword (c.yaml:2:169)`},
		"file, text": {"ldap: {" + ldapBase + ", credentialsFile: " + file(`hunter2`) + "}",
			`config: http.auth.ldap.credentialsFile: the file is neither JSON nor YAML: want a mapping with bindDN and bindPassword (c.yaml:2:169)`},
		"provider": {`openid: {providers: {okta: {clientid: c}, oidc: {}, github: {clientid: c, authurl: "https://h"}}, callbackAllowOrigins: ["//evil"]}`,
			`config: http.auth.openid.providers.okta: is not a provider: got "okta", want google, gitlab, oidc or github (c.yaml:2:87)
config: http.auth.openid.providers.oidc.clientid: is missing: want it, or a credentialsFile (c.yaml:2:108)
config: http.auth.openid.providers.oidc.issuer: is missing: want the provider's URL, as it calls itself (c.yaml:2:108)
config: http.auth.openid.providers.github: has authurl or tokenurl alone: want both, or neither (c.yaml:2:120)
config: http.auth.openid.callbackAllowOrigins: has an item (0) that is not an origin: got "//evil", want origins, as "https://ui.example.com" (c.yaml:2:180)`},
		"issuer": {`openid: {providers: {oidc: {clientid: c, issuer: "https://user:hunter2@h"}}}`,
			`config: http.auth.openid.providers.oidc.issuer: is not a URL: got "https://***@h", want one as "https://accounts.example.com" (c.yaml:2:109)`},
	} {
		t.Run(name, func(t *testing.T) {
			_, r, err := loadText("c.yaml", auth(tt.section))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
			canaries(t, name, shown(t, r))
		})
	}
}

// A file of credentials that others may read is told of.
func TestCredentialsMode(t *testing.T) {
	file := credentialsFile(t, "f.json", `{"bindDN": "cn=a", "bindPassword": "b"}`, 0o644)
	_, w := mustLoad(t, "c.yaml", auth("ldap: {"+ldapBase+", credentialsFile: "+file+"}"))
	if len(w) != 1 || w[0] != "config: http.auth.ldap.credentialsFile: the file has mode 0644, others than its owner may use it: give it 0600 or 0400" {
		t.Errorf("%q", w)
	}
}
