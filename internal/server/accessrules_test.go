package server

import (
	"testing"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/config"
	"holdfast/internal/oci"
)

func TestAccessRules(t *testing.T) {
	open, err := accessRules(&config.HTTP{})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := accessRules(&config.HTTP{
		Auth: config.Auth{Htpasswd: "p"},
		AccessControl: config.AccessControl{Given: true, Repositories: map[string]*config.RepositoryPolicy{
			"rel/**": {Default: []string{"read"}, ImmutableTags: []config.ImmutableTags{{Patterns: []string{"v*"}}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	alice := &access.Request{Identity: access.Identity{Name: "alice", Way: access.Htpasswd}}
	for _, tt := range []struct {
		rules *policy.Policy
		who   *access.Request
		repo  oci.Repository
		want  bool
	}{{open, nil, "a", true}, {rules, nil, "rel/a", false}, {rules, alice, "rel/a", true}, {rules, alice, "a", false}} {
		if d := tt.rules.Decide(tt.who, policy.Ask{Action: access.Read, Repository: tt.repo}); d.Allowed != tt.want {
			t.Errorf("%s: %s", tt.repo, d)
		}
	}
	if rules.Immutable("rel/a", "v1") == "" {
		t.Error("immutable tags got lost")
	}
	if _, err := accessRules(&config.HTTP{AccessControl: config.AccessControl{Given: true}}); err == nil {
		t.Error("rules for nobody were compiled")
	}
}
