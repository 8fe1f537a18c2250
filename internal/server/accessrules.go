package server

import (
	"fmt"

	"holdfast/internal/access/policy"
	"holdfast/internal/config"
)

// accessRules compiles http.accessControl. config has compiled it before, to check it: an error here is a bug there.
func accessRules(h *config.HTTP) (*policy.Policy, error) {
	p, err := policy.New(h.AccessRules())
	if err != nil {
		return nil, fmt.Errorf("server: compile http.accessControl: %w", err)
	}
	return p, nil
}
