package config

import (
	"cmp"

	"holdfast/internal/access/authn/ldap"
)

// ldapKeys are the keys of http.auth.ldap.
func ldapKeys() []key {
	of := func(t *target) *LDAP { return cmp.Or(t.config.HTTP.Auth.LDAP, new(LDAP)) } // a new one where the table is only read
	section := key{path: "ldap", into: func(t *target) any { return &t.config.HTTP.Auth.LDAP }}
	return append([]key{section}, below("ldap", []key{
		{path: "address", kind: parseAddress, into: func(t *target) any { return &of(t).Address }},
		{path: "port", kind: parsePort, into: func(t *target) any { return &of(t).Port }},
		{path: "insecure", kind: parseBool, into: func(t *target) any { return &of(t).Insecure }},
		{path: "startTLS", kind: parseBool, into: func(t *target) any { return &of(t).StartTLS }},
		{path: "skipVerify", kind: parseBool, into: func(t *target) any { return &of(t).SkipVerify }},
		{path: "subtreeSearch", kind: parseBool, into: func(t *target) any { return &of(t).SubtreeSearch }},
		{path: "baseDN", kind: parseText, into: func(t *target) any { return &of(t).BaseDN }},
		{path: "userAttribute", kind: parseText, into: func(t *target) any { return &of(t).UserAttribute }},
		{path: "userFilter", kind: parseText, into: func(t *target) any { return &of(t).UserFilter }},
		{path: "userGroupAttribute", kind: parseText, into: func(t *target) any { return &of(t).UserGroupAttribute }},
		{path: "caCert", kind: parsePath, into: func(t *target) any { return &of(t).CACert }},
		{path: "credentialsFile", kind: parsePath, into: func(t *target) any { return &of(t).CredentialsFile }},
		{path: "bindDN", kind: parseText, into: func(t *target) any { return &of(t).BindDN }},
		{path: "bindPassword", kind: parseText, hidden: true, into: func(t *target) any { return &of(t).BindPassword }},
	})...)
}

// ldap reads the credentials of the account that searches, and checks what one key cannot know of another.
func (w *walker) ldap(l *LDAP) {
	const path = "http.auth.ldap"
	if l == nil || w.failed(path) {
		return
	}
	if l.CredentialsFile != "" {
		w.credentials(l.CredentialsFile, path+".credentialsFile", map[string]func(string){
			"bindDN":       func(v string) { l.BindDN = v },
			"bindPassword": func(v string) { l.BindPassword = Secret(v) },
		})
	} else if password := w.has(path+".bindPassword", l.BindPassword); password != (l.BindDN != "") {
		missing := "bindDN"
		if !password {
			missing = "bindPassword" // a bind without it succeeds as anonymous
		}
		w.wrongAt(path+"."+missing, "is missing", "", "bindDN and bindPassword, or neither to search as nobody")
	}
	if l.Address == "" && !w.failed(path+".address") {
		w.wrongAt(path+".address", "is missing", "", "the host of the directory")
	}
	for _, of := range []struct {
		name, value, want string
		check             func(string) error
		needed            bool
	}{
		{"baseDN", l.BaseDN, `a DN, as "ou=people,dc=example,dc=org"`, ldap.CheckDN, true},
		{"userAttribute", l.UserAttribute, `the name of an attribute, as "uid"`, ldap.CheckAttribute, true},
		{"userGroupAttribute", l.UserGroupAttribute, `the name of an attribute, as "memberOf"`, ldap.CheckAttribute, false},
		{"userFilter", l.UserFilter, `a filter of LDAP, as "(objectClass=person)"`, ldap.CheckFilter, false},
	} {
		at := path + "." + of.name
		switch {
		case w.failed(at) || of.value == "" && !of.needed:
		case of.value == "":
			w.wrongAt(at, "is missing", "", of.want)
		case of.check(of.value) != nil:
			w.wrongAt(at, "is not what it should be", show(of.value), of.want)
		}
	}
	switch {
	case l.StartTLS && !l.Insecure:
		w.warn(path+".startTLS", "has no effect without insecure, as in zot: the connection begins with TLS")
	case l.Insecure && !l.StartTLS:
		w.warn(path+".insecure", "without startTLS passwords go to the directory in the clear")
	}
	if l.SkipVerify {
		w.warn(path+".skipVerify", "takes any certificate: whoever is between here and the directory reads the passwords")
	}
}
