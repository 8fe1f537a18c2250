package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"holdfast/internal/access"
)

var (
	// ErrWrong is credentials that are not good: unknown, wrong, expired, revoked. Which of them is for the log alone.
	ErrWrong = errors.New("authn: the credentials are not good")
	// ErrExpired is ErrWrong for credentials that were good until a time that has passed.
	ErrExpired = fmt.Errorf("%w: expired", ErrWrong)
	// ErrOther is credentials that are not of the kind which a way knows: another one is asked.
	ErrOther = errors.New("authn: not credentials of this kind")
)

// Passwords is a way of authentication by name and password. Safe for concurrent use.
type Passwords interface {
	// Check returns who it is. Errors: ErrOther when this way does not know the name, and another may; ErrWrong; anything else is a backend that could not be
	// asked, and then nothing is known.
	// How long it takes does not tell whether a name is known.
	Check(ctx context.Context, name, password string) (access.Identity, error)
}

// Bearers is a way of authentication by bearer token. Safe for concurrent use.
type Bearers interface {
	// Verify returns whose token it is. Errors: ErrOther when the token is not of this issuer, or is no token of this kind; ErrWrong; anything else is a backend that
	// could not be asked.
	Verify(ctx context.Context, token string) (access.Identity, error)
}

// Certificates is a way of authentication by a client's certificate, which the TLS layer has verified. Safe for concurrent use.
type Certificates interface {
	// Identify returns whose certificate it is. Errors: ErrWrong when it names nobody.
	Identify(leaf *x509.Certificate) (access.Identity, error)
}

// Sessions is a way of authentication by cookies. Safe for concurrent use.
type Sessions interface {
	// Session returns whose session a request belongs to. Errors: ErrOther without one, ErrWrong for one that has ended.
	Session(r *http.Request) (access.Identity, error)
}
