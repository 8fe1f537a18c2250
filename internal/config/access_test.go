package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/access/policy"
)

const accessFile = `
storage: {rootDirectory: /d}
http:
  accessControl:
    groups:
      Ops: {users: [olga, otto]}
    repositories:
      "**": {anonymousPolicy: [read], defaultPolicy: "read,create"}
      "Prod/**":
        policies:
          - users: [alice]
            groups: [Ops]
            actions: [read, create, update]
            conditions:
              - {expression: 'req.tag.matches("^v[0-9]+$")', message: tags are versions}
        immutableTags:
          - {patterns: ["v*"], except: ["*-rc*"]}
    adminPolicy: {users: [root], actions: [read, delete]}
    metrics: {users: [prometheus], anonymousPolicy: [read]}
`

// loadAccess loads a file with htpasswd added to it. It returns the problems of access control, and the warnings.
func loadAccess(text string) (problems, warned []string) {
	const section = "http:\n"
	_, r, _ := loadText("c.yaml", strings.Replace(text, section, section+"  auth: {htpasswd: {path: p}}\n", 1))
	for _, p := range r.Problems {
		if strings.HasPrefix(p.Path, "http.accessControl") {
			problems = append(problems, p.String())
		}
	}
	return problems, warnings(r)
}

func TestAccessRules(t *testing.T) {
	root := table()
	c := Default()
	n, problem := parse("c.yaml", []byte(accessFile))
	if problem != nil {
		t.Fatal(problem)
	}
	w := &walker{root: root, warned: map[string]int{}, nodes: map[string]*node{"": n}, meant: map[string]bool{}, routes: map[string]string{}}
	w.section(root, n, "", &target{config: c, store: &c.Storage.Store})
	c.HTTP.Auth.Htpasswd = "p"
	w.accessControl(&c.HTTP)
	if len(w.report.Problems)+len(w.report.Warnings) > 0 {
		t.Errorf("%v", w.report)
	}
	want := policy.Config{
		Given: true, Authenticates: true,
		Groups: map[string][]string{"Ops": {"olga", "otto"}},
		Repositories: map[string]policy.Repository{
			"**": {Anonymous: []string{"read"}, Default: []string{"read", "create"}},
			"Prod/**": {
				Policies: []policy.Rule{{
					Users: []string{"alice"}, Groups: []string{"Ops"}, Actions: []string{"read", "create", "update"},
					Conditions: []policy.Condition{{Expression: `req.tag.matches("^v[0-9]+$")`, Message: "tags are versions"}},
				}},
				Immutable: []policy.ImmutableTags{{Patterns: []string{"v*"}, Except: []string{"*-rc*"}}},
			},
		},
		Admin:        policy.Rule{Users: []string{"root"}, Actions: []string{"read", "delete"}},
		MetricsUsers: []string{"prometheus"}, MetricsAnonymous: []string{"read"},
	}
	if diff := cmp.Diff(want, c.HTTP.AccessRules()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if shown := c.Redacted(); !strings.Contains(shown, "tags are versions") || !strings.Contains(shown, "Prod/**") {
		t.Errorf("what is shown lacks them:\n%s", shown)
	}
}

// B88: everything that is wrong is said at once, with its place.
func TestAccessProblems(t *testing.T) {
	problems, warned := loadAccess(`
storage: {rootDirectory: /d}
http:
  accessControl:
    repositories:
      "a/[": {defaultPolicy: [read]}
      "b/**":
        policies:
          - {users: [alice], groups: [nobodies], actions: [read, wrte]}
          - {users: [bob], actions: [read], conditions: [{expression: 'req.tag == '}]}
          - {users: [carol], actions: [read], conditions: [{expression: 'req.tls.enabled'}]}
          - {users: [carol, dave], actions: [read, create]}
      "c":
        anonymousPolicy: [raed]
        immutableTags: [{patterns: ["v["]}, {except: [x]}]
    adminPolicy: {users: [root], actions: [all]}
    metrics: {anonymousPolicy: [write]}
`)
	for _, want := range []string{
		`http.accessControl.repositories.a/[: is not a glob: got "a/[", want a glob`,
		`http.accessControl.repositories.b/**.policies[0].actions: is not an action: got "wrte", want read, create, update, delete or detectManifestCollision`,
		`http.accessControl.repositories.b/**.policies[1].conditions[0].expression: is not a condition in CEL: line 1, column 12: Syntax error`,
		`http.accessControl.repositories.b/**.policies[2]: has conditions that change nothing for the user, to whom policies[3] allows the same without them: got "carol"`,
		`http.accessControl.repositories.c.anonymousPolicy: is not an action: got "raed"`,
		`http.accessControl.repositories.c.immutableTags[0].patterns: is not a glob: got "v["`,
		`http.accessControl.repositories.c.immutableTags[1].patterns: is missing`,
		`http.accessControl.adminPolicy.actions: is not an action: got "all"`,
		`http.accessControl.metrics.anonymousPolicy: is not an action of metrics: got "write", want read`,
	} {
		if !slices.ContainsFunc(problems, func(got string) bool { return strings.Contains(got, want) && strings.Contains(got, "(c.yaml:") }) {
			t.Errorf("nothing says: %s", want)
		}
	}
	if len(problems) != 9 {
		t.Errorf("%d problems:\n%s", len(problems), strings.Join(problems, "\n"))
	}
	if !slices.ContainsFunc(warned, func(w string) bool {
		return strings.Contains(w, "policies[0].groups") && strings.Contains(w, `"nobodies"`)
	}) {
		t.Errorf("nothing warns of the group: %q", warned)
	}
}

// Rules for people need a way to know them.
func TestAccessNeedsAuthentication(t *testing.T) {
	for rules, want := range map[string]bool{
		`repositories: {"**": {anonymousPolicy: [read]}}`:                        true,
		`repositories: {"**": {anonymousPolicy: [read], defaultPolicy: [read]}}`: false,
		`repositories: {"**": {policies: [{users: [a], actions: [read]}]}}`:      false,
		`adminPolicy: {users: [a], actions: [read]}`:                             false,
		`metrics: {anonymousPolicy: [read]}`:                                     true,
		`metrics: {users: [a]}`:                                                  false,
	} {
		text := "storage: {rootDirectory: /d}\nhttp:\n  accessControl: {" + rules + "}\n"
		if _, _, err := loadText("c.yaml", text); (err == nil) != want {
			t.Errorf("%s alone: %v", rules, err)
		}
		if problems, _ := loadAccess(text); len(problems) > 0 {
			t.Errorf("%s with authentication: %q", rules, problems)
		}
	}
}
