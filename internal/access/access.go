package access

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"holdfast/internal/oci"
)

// Action is what is done to a repository, in the words of http.accessControl.
type Action string

// The actions.
const (
	Read   Action = "read"
	Create Action = "create" // content and tags that are new
	Update Action = "update" // a tag that exists, to other content
	Delete Action = "delete"
	// DetectManifestCollision is the right to be told, by 409, that a manifest which is to be deleted by digest has more than one tag.
	DetectManifestCollision Action = "detectManifestCollision"
)

// Way is how an identity was found.
type Way string

// The ways.
const (
	Nobody      Way = "" // nothing was shown
	Htpasswd    Way = "htpasswd"
	LDAP        Way = "ldap"
	Token       Way = "token"    // of our own token endpoint
	Bearer      Way = "bearer"   // of an external token server
	Workload    Way = "oidc"     // an identity token of a workload
	Login       Way = "login"    // a person's session after OpenID
	APIKey      Way = "apikey"   // a key that we gave
	Certificate Way = "mtls"     // a client's certificate
	Operator    Way = "operator" // an operator's token of package grant
)

// Identity is who makes a request, as one way of authentication found. The zero value is nobody. It is not changed once it is made.
type Identity struct {
	Name   string   // "" is nobody
	Groups []string // of a directory, a token, a provider; those of the configuration are added by whoever decides
	Way    Way
	Claims map[string]any // of a token that is JSON; nil without
	// Key is the id of the API key that was shown, or that what was shown was given for; "" without one.
	Key string
	// Limits is what the credentials allow at most, whoever shows them: a token's scope. nil: whatever the rules allow their holder.
	Limits *Limits
}

// Anonymous reports whether nothing was shown that says who it is.
func (i Identity) Anonymous() bool { return i.Way == Nobody }

// Limits are what credentials allow at most. The rules may allow less.
type Limits struct {
	Repositories []Limit
	// Catalog allows to list repositories: only those that may be read are listed.
	Catalog bool
	// CatalogByRules says that it is a list of all that the rules let the holder read, and not of Repositories alone.
	CatalogByRules bool
	// Rules says that Repositories is all that is decided by: they are a token server's decisions, and no rules of ours are asked.
	Rules bool
}

// Limit is for one repository. Name is a repository's, never a pattern.
type Limit struct {
	Name    oci.Repository
	Actions []Action
}

// Allow reports whether credentials with these limits may be used for an action. nil allows all.
func (l *Limits) Allow(repo oci.Repository, a Action) bool {
	if l == nil {
		return true
	}
	return slices.ContainsFunc(l.Repositories, func(one Limit) bool { return one.Name == repo && slices.Contains(one.Actions, a) })
}

// Request is what is known of a request when it is decided whether it may be served. It does not change while it is served.
type Request struct {
	Identity  Identity
	Time      time.Time // when it came, by this process's clock
	Method    string
	UserAgent string
	// Client is where it comes from: the peer, or whom a trusted proxy names. Invalid where nobody knows.
	Client netip.Addr
	// ForwardedFor is X-Forwarded-For as a trusted proxy sent it, else "".
	ForwardedFor string
	// TLSVersion is as in "1.3", and "" without TLS; that of a trusted proxy is not known, Secure then says that there is some.
	TLSVersion string
	Secure     bool
}

type key struct{}

// With returns a context of a request. Whoever serves under it is asked only what r's identity may do.
func With(ctx context.Context, r *Request) context.Context { return context.WithValue(ctx, key{}, r) }

// From returns the request that a context belongs to; nil is work of our own, which nobody asked for by a request.
func From(ctx context.Context) *Request {
	r, _ := ctx.Value(key{}).(*Request)
	return r
}
