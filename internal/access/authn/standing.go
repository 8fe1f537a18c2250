package authn

import (
	"context"

	"holdfast/internal/access"
)

// Standing tells whether who was found by credentials once still would be: a token that was given for a password must not outlive the user or the password. Ways of
// authentication whose users can be removed implement it. Safe for concurrent use; it is asked at each use of a token, and answers from memory.
type Standing interface {
	// Fingerprint is of the credentials that a name has now: another one after they changed, the same at every replica. It stands in tokens that their holders
	// can read, and shows nothing of the credentials. "" is a name that has none here. It is asked before a password is checked, so that a password which is
	// changed meanwhile has the token die, and never live.
	// Errors: a backend that could not be asked.
	Fingerprint(ctx context.Context, name string) (string, error)

	// Stands returns an identity as it is now, above all with the groups that it has now, if the way that found it (id.Way) still knows it and, unless
	// fingerprint is "", its credentials are those that fingerprint is of. What another way found is returned as it is.
	// Errors: ErrWrong when it does not stand any more; anything else is a backend that could not be asked.
	Stands(ctx context.Context, id access.Identity, fingerprint string) (access.Identity, error)
}
