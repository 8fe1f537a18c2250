package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
)

func compile(t testing.TB, c policy.Config) *policy.Policy {
	t.Helper()
	p, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(p *policy.Policy, name, repo string) policy.Decision {
	return p.Decide(request(name), policy.Ask{Action: access.Read, Repository: oci.Repository(repo)})
}

func TestWithoutRules(t *testing.T) {
	for _, tt := range []struct {
		authenticates  bool
		alice, nobody_ bool
	}{{true, true, false}, {false, true, true}} {
		p := compile(t, policy.Config{Authenticates: tt.authenticates})
		for _, action := range []access.Action{access.Read, access.Create, access.Update, access.Delete} {
			ask := policy.Ask{Action: action, Repository: "a"}
			if a, n := p.Decide(request("alice"), ask), p.Decide(request("-"), ask); a.Allowed != tt.alice || n.Allowed != tt.nobody_ {
				t.Errorf("authentication %v, %s: alice %s; nobody %s", tt.authenticates, action, a, n)
			}
		}
		if p.Decide(request("alice"), policy.Ask{Action: access.DetectManifestCollision, Repository: "a"}).Allowed {
			t.Error("a collision is detected that nobody asked to be told of")
		}
		if n := p.Decide(nil, policy.Ask{Action: access.Read, Repository: "a"}); n.Allowed != tt.nobody_ {
			t.Errorf("no request at all: %s", n)
		}
		if p.Lists(request("-")) != tt.nobody_ || !p.Lists(request("alice")) || p.Metrics(request("-")) != tt.nobody_ || !p.Metrics(request("alice")) {
			t.Errorf("authentication %v: lists and metrics", tt.authenticates)
		}
	}
}

// What credentials do not allow is not allowed, to an admin neither; those of a token server are all that is asked.
func TestLimits(t *testing.T) {
	p := compile(t, withAdmin(repos(map[string]policy.Repository{"**": {Default: words("read")}}), "root", "", "read create update delete"))
	limits := &access.Limits{Repositories: []access.Limit{{Name: "a", Actions: []access.Action{access.Read, access.Create}}}}
	decide := func(name string, limits *access.Limits, action access.Action, repo oci.Repository) bool {
		r := request(name)
		r.Identity.Limits = limits
		return p.Decide(r, policy.Ask{Action: action, Repository: repo}).Allowed
	}
	all := *limits
	all.Rules = true
	for _, tt := range []struct {
		name   string
		limits *access.Limits
		action access.Action
		repo   oci.Repository
		want   bool
	}{
		{"root", limits, access.Read, "a", true},
		{"root", limits, access.Create, "a", true},
		{"root", limits, access.Delete, "a", false},
		{"root", limits, access.Read, "b", false},
		{"alice", limits, access.Read, "a", true},
		{"alice", limits, access.Create, "a", false}, // the rules do not
		{"alice", &access.Limits{}, access.Read, "a", false},
		{"alice", &all, access.Create, "a", true},
		{"alice", &all, access.Read, "b", false},
		{"root", &all, access.Delete, "a", false},
	} {
		if got := decide(tt.name, tt.limits, tt.action, tt.repo); got != tt.want {
			t.Errorf("%s, %s of %s: %v", tt.name, tt.action, tt.repo, got)
		}
	}
}

func TestDetectManifestCollision(t *testing.T) {
	p := compile(t, withAdmin(repos(map[string]policy.Repository{"**": {Default: words("delete detectManifestCollision")}}), "root", "", "delete detectManifestCollision"))
	ask := policy.Ask{Action: access.DetectManifestCollision, Repository: "a"}
	if d := p.Decide(request("alice"), ask); !d.Allowed {
		t.Errorf("alice: %s", d)
	}
	if d := p.Decide(request("root"), ask); d.Allowed { // zot asks admins never
		t.Errorf("an admin: %s", d)
	}
	limited := request("alice")
	limited.Identity.Limits = &access.Limits{Repositories: []access.Limit{{Name: "a", Actions: []access.Action{access.Delete}}}}
	if d := p.Decide(limited, ask); !d.Allowed {
		t.Errorf("limited credentials take the protection away: %s", d)
	}
}

func TestMetrics(t *testing.T) {
	c := repos(nil)
	if p := compile(t, c); p.Metrics(request("alice")) || p.Metrics(request("-")) {
		t.Error("metrics that nobody is named for")
	}
	c.MetricsUsers = words("prometheus")
	if p := compile(t, c); p.Metrics(request("alice")) || p.Metrics(request("-")) || !p.Metrics(request("prometheus")) {
		t.Error("metrics for one")
	}
	scoped := request("prometheus")
	scoped.Identity.Limits = &access.Limits{Catalog: true}
	if p := compile(t, c); p.Metrics(scoped) || compile(t, policy.Config{Authenticates: true}).Metrics(scoped) {
		t.Error("a key for some repositories reads the metrics")
	}
	c.MetricsAnonymous = words("read")
	if p := compile(t, c); p.Metrics(request("alice")) || !p.Metrics(request("-")) || !p.Metrics(nil) {
		t.Error("metrics for everybody without credentials")
	}
}

func TestDecisionSaysWhy(t *testing.T) {
	p := compile(t, withGroups(withAdmin(repos(map[string]policy.Repository{
		"app/**": {Policies: append(rule("alice", "devs", "read"), conditional(rule("alice", "", "create"), `req.tag == "x"`)...), Default: words("update"), Anonymous: words("read")},
		"e":      {Policies: conditional(rule("alice", "", "read"), `req.claims.x == 1`)},
	}), "", "admins", "delete"), map[string][]string{"admins": {"olga"}}))
	for _, tt := range []struct {
		name, repo string
		action     access.Action
		want       string
	}{
		{"alice", "app/x", access.Read, `allowed: by policies[0] of "app/**"`},
		{"dora", "app/x", access.Read, `allowed: by policies[0] of "app/**", for group "devs"`},
		{"bob", "app/x", access.Update, `allowed: by defaultPolicy of "app/**", for whoever is authenticated`},
		{"-", "app/x", access.Read, `allowed: by anonymousPolicy of "app/**"`},
		{"olga", "app/x", access.Delete, `allowed: by adminPolicy, for group "admins"`},
		{"alice", "app/x", access.Create, `denied: policies[1] of "app/**" would allow it, but this is false: req.tag == "x" ("because")`},
		{"alice", "app/x", access.Delete, `denied: nothing of "app/**" allows it, which is the longest glob that matches, and adminPolicy does not`},
		{"alice", "b", access.Read, `denied: no glob matches the repository, and adminPolicy does not allow it`},
		{"alice", "e", access.Read, `denied: policies[0] of "e" would allow it, but this is false: req.claims.x == 1 (it cannot be evaluated: condition: evaluate: no such key: x)`},
	} {
		if got := p.Decide(request(tt.name), policy.Ask{Action: tt.action, Repository: oci.Repository(tt.repo)}); got.String() != tt.want {
			t.Errorf("%s, %s of %s:\n%s\nwant\n%s", tt.name, tt.action, tt.repo, got, tt.want)
		}
	}
	d := p.Decide(request("alice"), policy.Ask{Action: access.Create, Repository: "app/x"})
	if e := p.Decide(request("alice"), policy.Ask{Action: access.Read, Repository: "e"}); d.Message != "because" || e.Message != "" || e.Err == nil {
		t.Errorf("messages %q and %q", d.Message, e.Message)
	}
}

func TestImmutable(t *testing.T) {
	p := compile(t, repos(map[string]policy.Repository{
		"**":     {Immutable: []policy.ImmutableTags{{Patterns: []string{"v*"}, Except: []string{"*-rc?", "vnext"}}, {Patterns: []string{"{stable,vnext}"}}}},
		"dev/**": {},
	}))
	for where, want := range map[string]string{"a:v1": "v*", "a:v1-rc1": "", "a:vnext": "{stable,vnext}", "a:stable": "{stable,vnext}", "a:latest": "", "dev/a:v1": ""} {
		repo, tag, _ := strings.Cut(where, ":")
		if got := p.Immutable(oci.Repository(repo), oci.Tag(tag)); got != want {
			t.Errorf("%s: %q", where, got)
		}
	}
	if !p.HasImmutable("a") || p.HasImmutable("dev/a") {
		t.Error("which repositories have immutable tags")
	}
}

// Capital letters of a glob are made small, as in zot.
func TestGlobsAreLowerCase(t *testing.T) {
	p := compile(t, repos(map[string]policy.Repository{"Prod/**": {Default: words("read")}}))
	if d := read(p, "alice", "prod/x"); !d.Allowed {
		t.Errorf("%s", d)
	}
	_, err := policy.New(repos(map[string]policy.Repository{"Prod/**": {}, "prod/**": {}}))
	var problems policy.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(err.Error(), "the same glob") {
		t.Errorf("twice the same glob: %v", err)
	}
}

// A user whose name is empty is nobody, whatever a file says.
func TestNoNameIsNobody(t *testing.T) {
	p := compile(t, withAdmin(repos(map[string]policy.Repository{"**": {Policies: []policy.Rule{{Users: []string{""}, Groups: []string{""}, Actions: words("read")}}, Default: words("read")}}), "", "", "read"))
	for _, id := range []access.Identity{{}, {Way: access.Certificate}, {Name: "alice"}, {Groups: []string{""}}} {
		if d := p.Decide(&access.Request{Identity: id}, policy.Ask{Action: access.Read, Repository: "a"}); d.Allowed {
			t.Errorf("%+v: %s", id, d)
		}
	}
	if d := p.Decide(request("alice"), policy.Ask{Action: "", Repository: "a"}); d.Allowed {
		t.Errorf("no action: %s", d)
	}
}

func TestContradictions(t *testing.T) {
	if _, err := policy.New(repos(map[string]policy.Repository{"**": {Policies: append(conditional(rule("alice", "", "read create"), `req.tls.enabled`), rule("alice", "", "read")...)}})); err != nil {
		t.Errorf("a condition that guards something: %v", err)
	}
	if _, err := policy.New(repos(map[string]policy.Repository{"**": {Policies: append(conditional(rule("", "devs", "read"), `req.tls.enabled`), rule("", "devs", "read")...)}})); err == nil {
		t.Error("a condition of a group that guards nothing")
	}
}

// naive decides as zot's code reads: every glob is tried, every list is searched.
func naive(c policy.Config, r *access.Request, action access.Action, repo string) bool {
	name := r.Identity.Name
	longest := ""
	for pattern := range c.Repositories {
		if ok, err := doublestar.Match(pattern, repo); err == nil && ok && (len(pattern) > len(longest) || len(pattern) == len(longest) && pattern < longest) {
			longest = pattern
		}
	}
	groups := slices.Clone(r.Identity.Groups)
	for group, users := range c.Groups {
		if slices.Contains(users, name) {
			groups = append(groups, group)
		}
	}
	in := func(rule policy.Rule) bool {
		return slices.Contains(rule.Actions, string(action)) &&
			(slices.Contains(rule.Users, name) || slices.ContainsFunc(rule.Groups, func(g string) bool { return slices.Contains(groups, g) }))
	}
	if g, ok := c.Repositories[longest]; ok {
		switch {
		case name == "":
			return slices.Contains(g.Anonymous, string(action))
		case slices.ContainsFunc(g.Policies, in), slices.Contains(g.Default, string(action)):
			return true
		}
	}
	return name != "" && in(c.Admin)
}

// FuzzACL compares with a naive evaluator. A byte each chooses what rules and requests are made of.
func FuzzACL(f *testing.F) {
	f.Add([]byte("holdfast decides as zot does"), "team/app")
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252, 253}, "a")
	f.Fuzz(func(t *testing.T, data []byte, extra string) {
		next := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		some := func(of []string) []string {
			bits := next(1 << len(of))
			var list []string
			for i, word := range of {
				if bits&(1<<i) != 0 {
					list = append(list, word)
				}
			}
			return list
		}
		globs := []string{"**", "*", "a/**", "a/*", "a", "a/b", "{a,b}/**", "a/**/c", "[ab]", "?/b", "a*", "**/c", `a\/b`, "b/**", strings.ToLower(extra)}
		people := []string{"x", "y"}
		groups := []string{"g", "h"}
		actions := []string{"read", "create", "update", "delete"}
		makeRule := func() policy.Rule {
			return policy.Rule{Users: some(people), Groups: some(groups), Actions: some(actions)}
		}
		c := repos(map[string]policy.Repository{})
		for range 1 + next(5) {
			r := policy.Repository{Default: some(actions), Anonymous: some(actions)}
			for range next(3) {
				r.Policies = append(r.Policies, makeRule())
			}
			c.Repositories[globs[next(len(globs))]] = r
		}
		c.Admin = makeRule()
		c.Groups = map[string][]string{"g": some(people), "h": some(people)}
		p, err := policy.New(c)
		if err != nil {
			return // extra is not a glob
		}
		asked := []string{"a", "b", "a/b", "a/b/c", "a/c", "b/x", "c", "ab"}
		if repo, err := oci.ParseRepository(extra); err == nil { // no other name is ever asked for
			asked = append(asked, string(repo))
		}
		for _, repo := range asked {
			for _, id := range []access.Identity{{}, {Name: "x", Way: access.Htpasswd}, {Name: "y", Way: access.LDAP, Groups: []string{"h"}}, {Name: "z", Way: access.Htpasswd}} {
				for _, action := range actions {
					r := &access.Request{Identity: id}
					d := p.Decide(r, policy.Ask{Action: access.Action(action), Repository: oci.Repository(repo)})
					if want := naive(c, r, access.Action(action), repo); d.Allowed != want {
						t.Fatalf("%q may %s %q: %s, want %v\n%+v", id.Name, action, repo, d, want, c)
					}
				}
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	c := repos(map[string]policy.Repository{"**": {Anonymous: words("read"), Default: words("read")}})
	for i := range 50 {
		c.Repositories[fmt.Sprintf("team%02d/**", i)] = policy.Repository{Policies: append(rule("alice bob", "devs", "read create"), rule("ci", "", "read create update")...), Default: words("read")}
	}
	c.Groups = map[string][]string{"devs": {"alice", "dave"}}
	for name, ask := range map[string]policy.Ask{
		"FirstGlob": {Action: access.Create, Repository: "team00/app"},
		"LastGlob":  {Action: access.Read, Repository: "other/app"},
		"Denied":    {Action: access.Delete, Repository: "team49/app"},
	} {
		b.Run(name, func(b *testing.B) {
			p, r := compile(b, c), request("dave")
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(r, ask)
			}
		})
	}
	b.Run("Condition", func(b *testing.B) {
		p := compile(b, repos(map[string]policy.Repository{"**": {Policies: conditional(rule("dave", "", "read"), `req.tag.startsWith("v") && req.client.ip.startsWith("10.")`)}}))
		r := request("dave")
		b.ReportAllocs()
		for b.Loop() {
			p.Decide(r, policy.Ask{Action: access.Read, Repository: "a", Reference: oci.Reference{Tag: "v1"}})
		}
	})
}

// The usual decision does not allocate.
func TestDecideDoesNotAllocate(t *testing.T) {
	p, r := compile(t, table[2].rules), request("alice")
	if n := testing.AllocsPerRun(100, func() { p.Decide(r, policy.Ask{Action: access.Read, Repository: "prod/app/x/y"}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
