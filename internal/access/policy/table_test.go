package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
)

// who are the people of the table, by their names in it. The configuration's groups add to those that they bring.
func who(name string) access.Identity {
	switch name {
	case "-":
		return access.Identity{}
	case "dora": // of a directory, which says that she is a developer
		return access.Identity{Name: name, Way: access.LDAP, Groups: []string{"devs"}}
	case "ci": // a workload, with a token
		return access.Identity{Name: name, Way: access.Workload, Claims: map[string]any{"ref": "refs/heads/main"}}
	}
	return access.Identity{Name: name, Way: access.Htpasswd}
}

// The table: policies × who × repository. What is allowed is a letter each: r(ead), c(reate), u(pdate), d(elete), in this order; - is what is not, = is nothing at all.
// "-" is nobody. TestTableIsZots asks zot itself.
var table = []struct {
	name  string
	rules policy.Config
	want  string
}{
	{"1. everybody reads, whoever is known writes", repos(map[string]policy.Repository{
		"**": {Anonymous: words("read"), Default: words("read create update delete")},
	}), `
		repository      -     alice  bob
		any/thing       r---  rcud   rcud`},
	{"2. anonymousPolicy is not for the known", repos(map[string]policy.Repository{
		"pub/**": {Anonymous: words("read"), Policies: rule("alice", "", "create")},
	}), `
		repository      -     alice  bob
		pub/x           r---  -c--   =
		pub             r---  -c--   =
		other           =     =      =`},
	{"3. the longest glob alone counts", repos(map[string]policy.Repository{
		"**":         {Default: words("read create update delete")},
		"prod/**":    {Policies: rule("alice", "", "read create")},
		"prod/app/*": {Policies: rule("bob", "", "read")},
	}), `
		repository      -     alice  bob   carol
		dev/x           =     rcud   rcud  rcud
		prod/x          =     rc--   =     =
		prod/app/x      =     =      r---  =
		prod/app/x/y    =     rc--   =     =`},
	{"4. longest is by the letters of the glob, not by what it matches", repos(map[string]policy.Repository{
		"team/app":      {Policies: rule("alice", "", "read")},
		"{team,x}/a*":   {Policies: rule("bob", "", "read")},
		"t[e]am/app":    {Policies: rule("carol", "", "read")},
		"team/other/**": {Policies: rule("alice", "", "read")},
	}), `
		repository      alice  bob   carol
		team/app        =      r---  =
		team/b          =      =     =
		team/other      r---   =     =
		team/other/x    r---   =     =`},
	{"5. policies add up, within one glob", repos(map[string]policy.Repository{
		"app": {Policies: append(append(rule("alice bob", "", "read"), rule("alice", "", "create")...), rule("alice", "", "delete")...), Default: words("update")},
	}), `
		repository      alice  bob   carol
		app             rcud   r-u-  --u-`},
	{"6. groups of the configuration, and of a directory", withGroups(repos(map[string]policy.Repository{
		"app": {Policies: append(rule("", "devs", "read create"), rule("", "ops", "delete")...)},
	}), map[string][]string{"devs": {"alice"}, "ops": {"alice", "olga"}}), `
		repository      -     alice  olga  dora  bob
		app             =     rc-d   ---d  rc--  =`},
	{"7. admins, on top of whatever a glob says, and where none matches", withAdmin(repos(map[string]policy.Repository{
		"app": {Policies: rule("root", "", "update"), Default: words("read")},
	}), "root", "", "read create delete"), `
		repository      -     root   alice
		app             =     rcud   r---
		none            =     rc-d   =`},
	{"8. admins by group", withGroups(withAdmin(repos(map[string]policy.Repository{
		"app": {Default: words("read")},
	}), "", "admins", "read create update delete"), map[string][]string{"admins": {"olga"}}), `
		repository      olga  alice
		app             rcud  r---
		none            rcud  =`},
	{"9. * is one component, ** any number", repos(map[string]policy.Repository{
		"a/*": {Default: words("read")}, "b/**": {Default: words("read")}, "c/**/z": {Default: words("read")}, "d?": {Default: words("read")},
	}), `
		repository      alice
		a               =
		a/b             r---
		a/b/c           =
		b               r---
		b/c/d           r---
		c/z             r---
		c/x/y/z         r---
		d1              r---
		d12             =`},
	{"10. immutable in zot's way: no update", repos(map[string]policy.Repository{
		"rel/**": {Policies: rule("alice", "", "read create"), Default: words("read")},
	}), `
		repository      -     alice  bob
		rel/x           =     rc--   r---`},
	{"11. conditions", repos(map[string]policy.Repository{
		"t": {Policies: conditional(rule("alice", "", "read create update delete"), `req.tag.startsWith("v") || req.action == "read"`)},
		"w": {Policies: conditional(rule("ci", "", "read create update delete"), `req.claims.ref == "refs/heads/main"`)},
		"n": {Policies: conditional(rule("alice ci", "", "read create update delete"), `req.client.ip.startsWith("10.") && req.tls.enabled && req.time < timestamp("2027-01-01T00:00:00Z")`)},
		"e": {Policies: conditional(rule("alice ci", "", "read create update delete"), `req.claims.missing == "x"`)}, // it cannot be evaluated
	}), `
		repository      alice  ci    bob
		t               r---   =     =
		t:v1            rcud   =     =
		t:latest        r---   =     =
		w               =      rcud  =
		n               rcud   rcud  =
		e               =      =     =`},
	{"12. a false condition leaves other rules as they are", withAdmin(repos(map[string]policy.Repository{
		"app": {Policies: append(conditional(rule("alice bob", "", "read create update delete"), `req.tag == "x"`), rule("alice", "", "read")...), Default: words("create")},
	}), "bob", "", "delete"), `
		repository      alice  bob   carol
		app             rc--   -c-d  -c--
		app:x           rcud   rcud  -c--`},
}

func words(s string) []string { return strings.Fields(s) }

func repos(r map[string]policy.Repository) policy.Config {
	return policy.Config{Given: true, Authenticates: true, OutsideGroups: true, Repositories: r}
}

func rule(users, groups, actions string) []policy.Rule {
	return []policy.Rule{{Users: words(users), Groups: words(groups), Actions: words(actions)}}
}

func conditional(rules []policy.Rule, expression string) []policy.Rule {
	rules[0].Conditions = []policy.Condition{{Expression: expression, Message: "because"}}
	return rules
}

func withGroups(c policy.Config, groups map[string][]string) policy.Config {
	c.Groups = groups
	return c
}

func withAdmin(c policy.Config, users, groups, actions string) policy.Config {
	c.Admin = rule(users, groups, actions)[0]
	return c
}

var letters = []struct {
	letter byte
	action access.Action
}{{'r', access.Read}, {'c', access.Create}, {'u', access.Update}, {'d', access.Delete}}

func request(name string) *access.Request {
	return &access.Request{
		Identity: who(name), Time: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), Method: "PUT", Client: netip.MustParseAddr("10.0.0.1"), TLSVersion: "1.3", Secure: true,
	}
}

// rows calls do for each cell of a table.
func rows(t *testing.T, text string, do func(name, repository, cell string)) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	people := strings.Fields(lines[0])[1:]
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		if len(cells) != len(people)+1 {
			t.Fatalf("a line with %d cells: %s", len(cells), line)
		}
		for i, name := range people {
			do(name, cells[0], strings.ReplaceAll(cells[i+1], "=", "----"))
		}
	}
}

func TestTable(t *testing.T) {
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			p, err := policy.New(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			rows(t, tt.want, func(name, where, want string) {
				repository, tag, _ := strings.Cut(where, ":")
				got, why := []byte("----"), ""
				for i, l := range letters {
					d := p.Decide(request(name), policy.Ask{Action: l.action, Repository: oci.Repository(repository), Reference: oci.Reference{Tag: oci.Tag(tag)}})
					if d.Allowed {
						got[i] = l.letter
					}
					why += fmt.Sprintf("\n\t%s: %s", l.action, d)
				}
				if string(got) != want {
					t.Errorf("%s in %s: %s, want %s%s", name, where, got, want, why)
				}
			})
		})
	}
}
