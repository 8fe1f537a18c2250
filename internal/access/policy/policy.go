package policy

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/condition"
	"holdfast/internal/oci"
)

// Policy is compiled. It is immutable, and safe for concurrent use: whoever has new rules makes another one.
type Policy struct {
	given, authenticates bool
	globs                []glob // the longest first
	admin                rule
	groupsOf             map[string][]string // by user
	metricsUsers         set
	metricsAnonymous     bool
}

type set map[string]struct{}

func (s set) has(name string) bool { _, ok := s[name]; return ok }

// actions is a set of actions, a bit for each.
type actions uint8

func (a actions) has(action access.Action) bool { return a&bit(action) != 0 }

// bit is 0 for what is no action: nothing allows it.
func bit(action access.Action) actions {
	switch action {
	case access.Read:
		return 1
	case access.Create:
		return 2
	case access.Update:
		return 4
	case access.Delete:
		return 8
	case access.DetectManifestCollision:
		return 16
	}
	return 0
}

// glob is what holds for the repositories that it matches.
type glob struct {
	text      string
	prefix    string // what every name begins with that it matches
	rules     []rule
	standard  actions // of whoever is authenticated
	anonymous actions
	immutable []tags
}

// rule is a policy. At least one of users and groups must name the identity.
type rule struct {
	users, groups set
	actions       actions
	conditions    []compiled
}

type compiled struct {
	expression *condition.Expression
	message    string
}

type tags struct{ patterns, except []string }

// newGlob makes a glob that is valid.
func newGlob(text string) glob {
	prefix := text
	if i := strings.IndexAny(text, `*?[{\`); i >= 0 {
		prefix = strings.TrimSuffix(text[:i], "/") // team/** matches team itself
	}
	return glob{text: text, prefix: prefix}
}

func (g *glob) matches(repo string) bool {
	if !strings.HasPrefix(repo, g.prefix) {
		return false
	}
	return matches(g.text, repo)
}

// matches reports whether a valid pattern matches a name.
func matches(pattern, name string) bool {
	matched, err := doublestar.Match(pattern, name)
	return err == nil && matched
}

// match returns what holds for a repository: that of the longest glob, in bytes; nil when none matches. Of several of one length the first in byte order counts, where
// zot takes any.
func (p *Policy) match(repo oci.Repository) *glob {
	for i := range p.globs {
		if p.globs[i].matches(string(repo)) {
			return &p.globs[i]
		}
	}
	return nil
}

// Ask is what is asked for.
type Ask struct {
	Action     access.Action
	Repository oci.Repository
	Reference  oci.Reference // zero where the request names none; conditions may look at it
}

// Decide says whether a request may be served; nil is nobody's. It does not allocate but for conditions.
func (p *Policy) Decide(r *access.Request, ask Ask) Decision {
	if r == nil {
		r = &access.Request{}
	}
	if bit(ask.Action) == 0 {
		return none
	}
	id := &r.Identity
	if l := id.Limits; l != nil {
		// A collision is detected to protect: credentials that are limited do not take that away.
		if limited := l.Rules || ask.Action != access.DetectManifestCollision; limited {
			if allowed := l.Allow(ask.Repository, ask.Action); l.Rules || !allowed {
				return Decision{Allowed: allowed, By: Credentials, Policy: -1}
			}
		}
	}
	if !p.given {
		allowed := ask.Action != access.DetectManifestCollision && (!nobody(id) || !p.authenticates)
		return Decision{Allowed: allowed, By: NoRules, Policy: -1}
	}
	e := evaluation{policy: p, request: r, ask: ask}
	if ask.Action == access.DetectManifestCollision && e.isAdmin() {
		return none
	}
	out := e.repository()
	if out.Allowed {
		return out
	}
	return e.admin(out)
}

var none = Decision{By: NoRule, Policy: -1}

func nobody(id *access.Identity) bool { return id.Anonymous() || id.Name == "" }

// evaluation is one decision in the making.
type evaluation struct {
	policy    *Policy
	request   *access.Request
	ask       Ask
	variables map[string]any // of conditions; nil until one is looked at
}

// repository decides by the glob that counts.
func (e *evaluation) repository() Decision {
	out := none
	g := e.policy.match(e.ask.Repository)
	if g == nil {
		return out
	}
	out.Glob = g.text
	if nobody(&e.request.Identity) {
		if g.anonymous.has(e.ask.Action) {
			out.Allowed, out.By = true, AnonymousPolicy
		}
		return out
	}
	// All policies that name the user come before those that name a group: so the last condition that was false is zot's.
	for _, byGroup := range [...]bool{false, true} {
		for i := range g.rules {
			rule := &g.rules[i]
			if !rule.actions.has(e.ask.Action) {
				continue
			}
			group, named := e.named(rule, byGroup)
			if !named {
				continue
			}
			if e.hold(rule, &out) {
				return Decision{Allowed: true, By: RepositoryPolicy, Glob: g.text, Policy: i, Group: group}
			}
			out.By, out.Policy, out.Group = FalseCondition, i, group
		}
	}
	if g.standard.has(e.ask.Action) {
		return Decision{Allowed: true, By: DefaultPolicy, Glob: g.text, Policy: -1}
	}
	return out
}

// admin decides what no glob allows, by the admin policy. before is what the glob said.
func (e *evaluation) admin(before Decision) Decision {
	rule := &e.policy.admin
	if nobody(&e.request.Identity) || !rule.actions.has(e.ask.Action) {
		return before
	}
	group, named := e.named(rule, false)
	if !named {
		if group, named = e.named(rule, true); !named {
			return before
		}
	}
	if e.hold(rule, &before) {
		return Decision{Allowed: true, By: AdminPolicy, Glob: before.Glob, Policy: -1, Group: group}
	}
	before.By, before.Policy, before.Group = FalseAdminCondition, -1, group
	return before
}

// named reports whether a rule names the identity, or one of its groups, and which.
func (e *evaluation) named(rule *rule, byGroup bool) (string, bool) {
	id := &e.request.Identity
	if !byGroup {
		return "", rule.users.has(id.Name)
	}
	if len(rule.groups) == 0 {
		return "", false
	}
	for _, group := range id.Groups {
		if rule.groups.has(group) {
			return group, true
		}
	}
	for _, group := range e.policy.groupsOf[id.Name] {
		if rule.groups.has(group) {
			return group, true
		}
	}
	return "", false
}

func (e *evaluation) isAdmin() bool {
	if nobody(&e.request.Identity) {
		return false
	}
	if _, byName := e.named(&e.policy.admin, false); byName {
		return true
	}
	_, byGroup := e.named(&e.policy.admin, true)
	return byGroup
}

// hold reports whether all conditions of a rule are true; else why not is noted. A condition that cannot be evaluated is false, and its message is not said: it
// may not be so.
func (e *evaluation) hold(rule *rule, why *Decision) bool {
	for i := range rule.conditions {
		c := &rule.conditions[i]
		if e.variables == nil {
			in := condition.Request{Access: e.request, Groups: e.groups(), Admin: e.isAdmin(), Action: e.ask.Action, Repository: e.ask.Repository, Reference: e.ask.Reference}
			e.variables = in.Variables()
		}
		ok, err := c.expression.Bool(e.variables)
		if ok && err == nil {
			continue
		}
		why.Condition, why.Err = c.expression.String(), err
		if err == nil && c.message != "" {
			why.Message = c.message
		}
		return false
	}
	return true
}

// groups are all groups of the identity, each once.
func (e *evaluation) groups() []string {
	id := &e.request.Identity
	all := slices.Clone(id.Groups)
	if !nobody(id) {
		all = append(all, e.policy.groupsOf[id.Name]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Immutable returns the pattern by which a tag of a repository is immutable, "" when it is not. Only the longest glob counts, as for everything else.
func (p *Policy) Immutable(repo oci.Repository, tag oci.Tag) string {
	g := p.match(repo)
	if g == nil {
		return ""
	}
	for _, t := range g.immutable {
		if slices.ContainsFunc(t.except, func(pattern string) bool { return matches(pattern, string(tag)) }) {
			continue
		}
		for _, pattern := range t.patterns {
			if matches(pattern, string(tag)) {
				return pattern
			}
		}
	}
	return ""
}

// HasImmutable reports whether a repository may have immutable tags.
func (p *Policy) HasImmutable(repo oci.Repository) bool {
	g := p.match(repo)
	return g != nil && len(g.immutable) > 0
}

// Mixed reports whether somebody may do something without credentials, and others more with them.
func (p *Policy) Mixed() bool {
	return p.given && p.authenticates && slices.ContainsFunc(p.globs, func(g glob) bool { return g.anonymous != 0 })
}

// Metrics reports whether the metrics may be read at the registry's own port. Credentials that are for some repositories alone, as a key with scopes, are not for them.
func (p *Policy) Metrics(r *access.Request) bool {
	anonymous := r == nil || nobody(&r.Identity)
	switch {
	case !anonymous && r.Identity.Limits != nil:
		return false
	case !p.given:
		return !anonymous || !p.authenticates
	case anonymous:
		return p.metricsAnonymous
	}
	return p.metricsUsers.has(r.Identity.Name)
}

// Lists reports whether repositories may be listed: those that may be read. Nobody may list where nothing may be read by everybody, which is then no secret.
func (p *Policy) Lists(r *access.Request) bool {
	if r == nil {
		r = &access.Request{}
	}
	id := &r.Identity
	switch {
	case id.Limits != nil:
		return id.Limits.Catalog
	case !nobody(id):
		return true
	case !p.given:
		return !p.authenticates
	}
	return slices.ContainsFunc(p.globs, func(g glob) bool { return g.anonymous.has(access.Read) })
}

// IsAction reports whether there is such an action.
func IsAction(action access.Action) bool { return bit(action) != 0 }
