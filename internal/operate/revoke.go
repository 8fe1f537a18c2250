package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/access/authn/revoke"
)

// revokeUser refuses what a user was given until now. It is in the root's store, as all of access control.
func (j *job) revokeUser(ctx context.Context) (int, error) {
	root := j.stores[0]
	since, err := revoke.New(root.Records).Revoke(ctx, j.User, root.Holder)
	if errors.Is(err, revoke.ErrUser) {
		return 0, misused("the name of the user is wanted, as --user=alice")
	}
	var all results
	if err != nil {
		all.add(root, nil, "revoke in", err)
	} else {
		all.add(root, revoked{User: j.User, NotBefore: since}, "", nil)
	}
	return Well, errors.Join(append(all.errs, j.print(all))...)
}

// revoked tells what a revocation means.
type revoked struct {
	User      string    `json:"user"`
	NotBefore time.Time `json:"notBefore"` // by the store's clock
}

// WriteTable prints it for people.
func (r revoked) WriteTable(w io.Writer) error {
	_, err := fmt.Fprintf(w, "what %s was given until %s is refused, at every replica within %s: tokens, refresh tokens, sessions and API keys\n"+
		"who may no longer come at all is removed where he is known: from the password file, the directory or the rules\n", r.User, r.NotBefore.UTC().Format(time.RFC3339), fresh.MaxAge)
	if err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	return nil
}
