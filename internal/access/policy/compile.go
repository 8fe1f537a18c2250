package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/condition"
)

// New compiles rules. Errors: Problems, all of them.
func New(c Config) (*Policy, error) {
	b := compile(c)
	if len(b.problems) > 0 {
		return nil, Problems(b.problems)
	}
	return b.policy, nil
}

// Check returns what keeps New from compiling, and what it compiles but nobody can mean.
func Check(c Config) (problems, warnings []Problem) {
	b := compile(c)
	return b.problems, b.warnings
}

// builder compiles, and gathers what is wrong. Names are visited in byte order, so that it is the same at every replica.
type builder struct {
	config             Config
	policy             *Policy
	problems, warnings []Problem
	unknown            set // groups that were warned of
}

func compile(c Config) *builder {
	b := &builder{config: c, unknown: set{}, policy: &Policy{given: c.Given, authenticates: c.Authenticates, groupsOf: map[string][]string{}}}
	if !c.Given {
		return b
	}
	p := b.policy
	for _, group := range slices.Sorted(maps.Keys(c.Groups)) {
		for _, user := range slices.Sorted(maps.Keys(names(c.Groups[group]))) {
			p.groupsOf[user] = append(p.groupsOf[user], group)
		}
	}
	texts := map[string]string{} // as they were written, by what they mean
	for _, text := range slices.Sorted(maps.Keys(c.Repositories)) {
		b.glob(text, texts)
	}
	slices.SortStableFunc(p.globs, func(a, b glob) int {
		return cmp.Or(cmp.Compare(len(b.text), len(a.text)), cmp.Compare(a.text, b.text))
	})
	p.admin = b.rule(c.Admin, "adminPolicy")
	p.metricsUsers = names(c.MetricsUsers)
	for _, action := range c.MetricsAnonymous {
		if action != string(access.Read) {
			b.problem(Problem{Path: []string{"metrics.anonymousPolicy"}, Wrong: "is not an action of metrics", Got: action, Want: string(access.Read)})
		}
		p.metricsAnonymous = true
	}
	if !c.Authenticates && !b.anonymousOnly() {
		b.problem(Problem{Path: []string{""}, Wrong: "has rules for people, and nothing says who asks", Want: "a way of http.auth, or no rules but anonymousPolicy"})
	}
	return b
}

func (b *builder) problem(p Problem) { b.problems = append(b.problems, p) }

func (b *builder) warn(p Problem) { b.warnings = append(b.warnings, p) }

// names is a list as a set. Nobody has the name "".
func names(list []string) set {
	s := set{}
	for _, name := range list {
		if name != "" {
			s[name] = struct{}{}
		}
	}
	return s
}

// glob compiles what holds for the repositories of a glob. Names of repositories are lower case, and globs are made so, as in zot.
func (b *builder) glob(text string, texts map[string]string) {
	in := b.config.Repositories[text]
	lower := strings.ToLower(text)
	switch first, again := texts[lower]; {
	case again:
		b.problem(Problem{Path: []string{"repositories", text}, Wrong: "is the same glob as another, whose letters have another case", Got: text, Want: "one of it and " + first})
	case lower == "" || !doublestar.ValidatePattern(lower):
		b.problem(Problem{Path: []string{"repositories", text}, Wrong: "is not a glob", Got: text,
			Want: `a glob, as "team/**": * within a component, ** for any components, ?, [a-z], {a,b}`})
	}
	texts[lower] = text
	g := newGlob(lower)
	for i, policy := range in.Policies {
		g.rules = append(g.rules, b.rule(policy, "repositories", text, fmt.Sprintf("policies[%d]", i)))
	}
	g.standard = b.actions(in.Default, "repositories", text, "defaultPolicy")
	g.anonymous = b.actions(in.Anonymous, "repositories", text, "anonymousPolicy")
	for i, t := range in.Immutable {
		path := []string{"repositories", text, fmt.Sprintf("immutableTags[%d]", i)}
		b.patterns(t.Patterns, below(path, "patterns"))
		b.patterns(t.Except, below(path, "except"))
		if len(t.Patterns) == 0 {
			b.problem(Problem{Path: below(path, "patterns"), Wrong: "is missing", Want: `globs of tags, as "v*"`})
		}
		g.immutable = append(g.immutable, tags{slices.Clone(t.Patterns), slices.Clone(t.Except)})
	}
	for i := range in.Policies {
		b.contradiction(text, &g, i)
	}
	b.policy.globs = append(b.policy.globs, g)
}

// below appends a key to a path; the last part of which is a key already, or a name.
func below(path []string, key string) []string {
	path = slices.Clone(path)
	if len(path) == 2 {
		return append(path, key)
	}
	path[len(path)-1] += "." + key
	return path
}

func (b *builder) patterns(list []string, path []string) {
	for _, pattern := range list {
		if pattern == "" || !doublestar.ValidatePattern(pattern) {
			b.problem(Problem{Path: path, Wrong: "is not a glob", Got: pattern, Want: `globs of tags, as "v*"`})
		}
	}
}

func (b *builder) actions(list []string, path ...string) actions {
	var all actions
	for _, name := range list {
		one := bit(access.Action(name))
		if one == 0 {
			b.problem(Problem{Path: path, Wrong: "is not an action", Got: name, Want: "read, create, update, delete or detectManifestCollision"})
		}
		all |= one
	}
	return all
}

// rule compiles a policy at a path.
func (b *builder) rule(in Rule, path ...string) rule {
	r := rule{users: names(in.Users), groups: names(in.Groups), actions: b.actions(in.Actions, below(path, "actions")...)}
	for i, c := range in.Conditions {
		at := below(path, fmt.Sprintf("conditions[%d].expression", i))
		e, err := condition.Compile(c.Expression, condition.Bool, "req")
		if err != nil {
			what := err.Error()
			var where *condition.Error
			if errors.As(err, &where) && where.Line > 0 {
				what = fmt.Sprintf("line %d, column %d: %s", where.Line, where.Column, where.Message)
			}
			b.problem(Problem{Path: at, Wrong: "is not a condition in CEL: " + strings.Join(strings.Fields(what), " ")})
			continue
		}
		r.conditions = append(r.conditions, compiled{e, c.Message})
	}
	for _, group := range in.Groups {
		if _, known := b.config.Groups[group]; !known && !b.config.OutsideGroups && group != "" && !b.unknown.has(group) {
			b.unknown[group] = struct{}{}
			b.warn(Problem{Path: below(path, "groups"), Wrong: "names a group that http.accessControl.groups does not have, and no way of authentication brings groups: it has no members", Got: group})
		}
	}
	return r
}

// contradiction looks whether a policy with conditions is without effect for a user or a group, because others of the glob allow all that it does, without any.
func (b *builder) contradiction(text string, g *glob, i int) {
	conditional := &g.rules[i]
	if len(conditional.conditions) == 0 || conditional.actions == 0 {
		return
	}
	void := func(kind, name string, of func(*rule) set) bool {
		left, by := conditional.actions, -1
		for j := range g.rules {
			if other := &g.rules[j]; len(b.config.Repositories[text].Policies[j].Conditions) == 0 && of(other).has(name) {
				if left&other.actions != 0 {
					by = j
				}
				left &^= other.actions
			}
		}
		if left != 0 {
			return false
		}
		b.problem(Problem{
			Path:  []string{"repositories", text, fmt.Sprintf("policies[%d]", i)},
			Wrong: fmt.Sprintf("has conditions that change nothing for the %s, to whom policies[%d] allows the same without them", kind, by),
			Got:   name, Want: "it in one of the two",
		})
		return true
	}
	for _, user := range slices.Sorted(maps.Keys(conditional.users)) {
		if void("user", user, func(r *rule) set { return r.users }) {
			return
		}
	}
	for _, group := range slices.Sorted(maps.Keys(conditional.groups)) {
		if void("group", group, func(r *rule) set { return r.groups }) {
			return
		}
	}
}

// anonymousOnly reports whether the rules make no difference between people, as zot judges it: then nobody needs to be known.
func (b *builder) anonymousOnly() bool {
	c := &b.config
	if len(c.Admin.Actions)+len(c.Admin.Users) > 0 {
		return false
	}
	some := false
	for _, r := range c.Repositories {
		if len(r.Default) > 0 || slices.ContainsFunc(r.Policies, func(p Rule) bool { return len(p.Actions)+len(p.Users) > 0 }) {
			return false
		}
		some = some || len(r.Anonymous) > 0
	}
	return some || len(c.Repositories) == 0 && len(c.Groups) == 0 && len(c.Admin.Groups) == 0 && slices.Contains(c.MetricsAnonymous, string(access.Read))
}
