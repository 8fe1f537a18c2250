package operate

import (
	"fmt"
	"time"

	"holdfast/internal/grant"
)

// token prints a token that every replica of the root's store takes.
func (j *job) token() (int, error) {
	switch {
	case j.For != grant.Admin:
		return 0, misused("tokens are for %q, not for %q", grant.Admin, j.For)
	case j.TTL < time.Second || j.TTL > grant.MaxTTL:
		return 0, misused("a token lives for a second at least and for %s at most", grant.MaxTTL)
	}
	root := j.stores[0]
	token := grant.Make(root.Registry.MAC, j.For, root.Records.Records.Now().Add(j.TTL))
	if _, err := fmt.Fprintln(j.out, token); err != nil {
		return 0, fmt.Errorf("operate: print a token: %w", err)
	}
	return Well, nil
}
