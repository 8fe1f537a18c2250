package config

import (
	"maps"
	"slices"

	"holdfast/internal/access/policy"
)

// accessKeys are the keys of http.accessControl.
func accessKeys() []key {
	keys := []key{
		{path: "groups", named: groupNamed, names: groupNames},
		{path: "groups.*.users", kind: parseTexts, into: func(t *target) any { return &itemOf[Group](t).Users }},
		{path: "metrics.users", kind: parseTexts, into: func(t *target) any { return &t.config.HTTP.AccessControl.MetricsUsers }},
		{path: "metrics.anonymousPolicy", kind: parseTexts, into: func(t *target) any { return &t.config.HTTP.AccessControl.MetricsAnonymous }},
		{path: "repositories", named: repositoryNamed, names: repositoryNames},
		{path: "repositories.*.policies[]", add: addRule, items: rules},
		{path: "repositories.*.defaultPolicy", kind: parseTexts, into: func(t *target) any { return &itemOf[RepositoryPolicy](t).Default }},
		{path: "repositories.*.anonymousPolicy", kind: parseTexts, into: func(t *target) any { return &itemOf[RepositoryPolicy](t).Anonymous }},
		{path: "repositories.*.immutableTags[]", add: addImmutable, items: immutables},
		{path: "repositories.*.immutableTags[].patterns", kind: parseTexts, into: func(t *target) any { return &itemOf[ImmutableTags](t).Patterns }},
		{path: "repositories.*.immutableTags[].except", kind: parseTexts, into: func(t *target) any { return &itemOf[ImmutableTags](t).Except }},
	}
	keys = append(keys, below("repositories.*.policies[]", ruleKeysOf(itemOf[Policy]))...)
	return append(keys, below("adminPolicy", ruleKeysOf(func(t *target) *Policy { return &t.config.HTTP.AccessControl.Admin }))...)
}

// ruleKeysOf are the keys of a policy.
func ruleKeysOf(of func(*target) *Policy) []key {
	return []key{
		{path: "users", kind: parseTexts, into: func(t *target) any { return &of(t).Users }},
		{path: "groups", kind: parseTexts, into: func(t *target) any { return &of(t).Groups }},
		{path: "actions", kind: parseTexts, into: func(t *target) any { return &of(t).Actions }},
		{path: "conditions[]", add: func(t *target) *target { return addItem(t, &of(t).Conditions) }, items: func(t *target) []*target { return itemsOf(t, of(t).Conditions) }},
		{path: "conditions[].expression", kind: parseText, into: func(t *target) any { return &itemOf[Condition](t).Expression }},
		{path: "conditions[].message", kind: parseText, into: func(t *target) any { return &itemOf[Condition](t).Message }},
	}
}

func addRule(t *target) *target { return addItem(t, &itemOf[RepositoryPolicy](t).Policies) }

func rules(t *target) []*target { return itemsOf(t, itemOf[RepositoryPolicy](t).Policies) }

func addImmutable(t *target) *target { return addItem(t, &itemOf[RepositoryPolicy](t).ImmutableTags) }

func immutables(t *target) []*target { return itemsOf(t, itemOf[RepositoryPolicy](t).ImmutableTags) }

// addItem makes one more item of a list of sections.
func addItem[T any](t *target, list *[]T) *target {
	var zero T
	*list = append(*list, zero)
	return t.in(&(*list)[len(*list)-1])
}

// itemsOf are the items of a list of sections.
func itemsOf[T any](t *target, list []T) []*target {
	var all []*target
	for i := range list {
		all = append(all, t.in(&list[i]))
	}
	return all
}

func groupNamed(t *target, name string) *target {
	return namedIn(t, &t.config.HTTP.AccessControl.Groups, name)
}

func groupNames(t *target) []string {
	return slices.Sorted(maps.Keys(t.config.HTTP.AccessControl.Groups))
}

func repositoryNamed(t *target, name string) *target {
	return namedIn(t, &t.config.HTTP.AccessControl.Repositories, name)
}

func repositoryNames(t *target) []string {
	return slices.Sorted(maps.Keys(t.config.HTTP.AccessControl.Repositories))
}

func namedIn[T any](t *target, sections *map[string]*T, name string) *target {
	if *sections == nil {
		*sections = map[string]*T{}
	}
	if (*sections)[name] == nil {
		(*sections)[name] = new(T)
	}
	return t.in((*sections)[name])
}

// Authenticates reports whether the file asks who makes a request. A section http.auth without any way does: then nobody is known, and nothing is open by mistake.
func (h *HTTP) Authenticates() bool {
	a := &h.Auth
	return a.Given || a.Htpasswd != "" || a.LDAP != nil || a.Bearer != nil || a.OpenID != nil || a.APIKey || h.TLS.CACert != ""
}

// OutsideGroups reports whether a way of authentication may bring groups along that the file does not name.
func (h *HTTP) OutsideGroups() bool {
	a := &h.Auth
	return a.LDAP != nil || a.OpenID != nil || a.Bearer != nil && len(a.Bearer.OIDC) > 0
}

// AccessRules are http.accessControl in the form that they are compiled from.
func (h *HTTP) AccessRules() policy.Config {
	a := &h.AccessControl
	c := policy.Config{
		Given: a.Given, Authenticates: h.Authenticates(), OutsideGroups: h.OutsideGroups(),
		Repositories: make(map[string]policy.Repository, len(a.Repositories)), Groups: make(map[string][]string, len(a.Groups)),
		Admin: a.Admin.rule(), MetricsUsers: a.MetricsUsers, MetricsAnonymous: words(a.MetricsAnonymous),
	}
	for name, group := range a.Groups {
		c.Groups[name] = group.Users
	}
	for glob, r := range a.Repositories {
		to := policy.Repository{Default: words(r.Default), Anonymous: words(r.Anonymous)}
		for _, p := range r.Policies {
			to.Policies = append(to.Policies, p.rule())
		}
		for _, i := range r.ImmutableTags {
			to.Immutable = append(to.Immutable, policy.ImmutableTags{Patterns: words(i.Patterns), Except: words(i.Except)})
		}
		c.Repositories[glob] = to
	}
	return c
}

func (p *Policy) rule() policy.Rule {
	r := policy.Rule{Users: p.Users, Groups: p.Groups, Actions: words(p.Actions)}
	for _, c := range p.Conditions {
		r.Conditions = append(r.Conditions, policy.Condition{Expression: c.Expression, Message: c.Message})
	}
	return r
}

// words is a list without what an empty text makes of it.
func words(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}

// accessControl checks the rules, by compiling them.
func (w *walker) accessControl(h *HTTP) {
	const path = "http.accessControl"
	// A section without a single value is none, as in zot: with it everything would be denied.
	if h.AccessControl.Given = h.AccessControl.Given && hasValue(w.nodes[path]); !h.AccessControl.Given {
		return
	}
	rules := h.AccessRules()
	// What the file says of authentication may have problems of its own: then there is some all the same.
	rules.Authenticates = rules.Authenticates || w.asks()
	rules.OutsideGroups = rules.OutsideGroups || slices.ContainsFunc([]string{"http.auth.ldap", "http.auth.openid", "http.auth.bearer.oidc"}, w.given)
	problems, warnings := policy.Check(rules)
	place := func(p policy.Problem) string {
		at := path
		for i, part := range p.Path {
			if len(p.Path) > 1 && i == 1 {
				part = showKey(part) // a name of the user's choice
			}
			if part != "" {
				at = join(at, part)
			}
		}
		return at
	}
	for _, p := range problems {
		got := p.Got
		if got != "" {
			got = show(got)
		}
		if at := place(p); !w.failed(at) {
			w.wrongAt(at, p.Wrong, got, p.Want)
		}
	}
	for _, p := range warnings {
		w.warn(place(p), p.Wrong+": "+show(p.Got))
	}
}

// asks reports whether the file names a way to find out who asks, though something may be wrong with it.
func (w *walker) asks() bool {
	return slices.ContainsFunc([]string{
		"http.auth.htpasswd.path", "http.auth.ldap", "http.auth.bearer", "http.auth.openid", "http.auth.apikey", "http.tls.cacert",
	}, w.given)
}

// auth refuses a section that asks for protection and names no way to give it: zot runs open with such a file.
func (w *walker) auth(h *HTTP) {
	const path = "http.auth"
	h.Auth.Given = false
	if h.Auth.Given = h.Authenticates(); !h.Auth.Given {
		h.Auth = Auth{Realm: h.Auth.Realm} // an empty section is none
	}
	if w.given(path) && !h.Auth.Given && !w.asks() {
		w.wrongAt(path, "has no way to find out who asks", "none", "htpasswd, ldap, bearer, openid or apikey in it, or http.tls.cacert; or no section, to run open to all who reach the port")
	}
}

// hasValue reports whether there is anything but mappings below a key.
func hasValue(n *node) bool {
	if n == nil || n.kind != mapNode {
		return n != nil && n.kind != nullNode
	}
	return slices.ContainsFunc(n.members, func(m member) bool { return hasValue(m.value) })
}

// given reports whether the file has a key with a value.
func (w *walker) given(path string) bool {
	n := w.nodes[path]
	return n != nil && !n.empty()
}
