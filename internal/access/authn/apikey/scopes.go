package apikey

import (
	"errors"
	"strings"

	"holdfast/internal/access"
	"holdfast/internal/access/scope"
	"holdfast/internal/oci"
)

// errScope is a scope that means nothing.
var errScope = errors.New(`apikey: a scope is a repository, as "team/app", or what may be done with it, as "team/app:pull,push"`)

// limits are what the scopes of a key allow: nil without any, and then the key may do what its maker may. The list of repositories shows those of the scopes.
// Errors: errScope.
func limits(scopes []string) (*access.Limits, error) {
	if len(scopes) == 0 {
		return nil, nil
	}
	l := &access.Limits{Catalog: true}
	for _, one := range scopes {
		name, actions, found := strings.Cut(strings.TrimPrefix(one, scope.Repository+":"), ":")
		if !found {
			actions = scope.All
		}
		repo, err := oci.ParseRepository(name)
		if err != nil {
			return nil, errScope
		}
		limit := access.Limit{Name: repo}
		for action := range strings.SplitSeq(actions, ",") {
			known := scope.Actions(action)
			if known == nil {
				return nil, errScope
			}
			limit.Actions = append(limit.Actions, known...)
		}
		l.Repositories = append(l.Repositories, limit)
	}
	return l, nil
}
