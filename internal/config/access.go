package config

import "time"

// TLS is http.tls. The zero value is plain HTTP.
type TLS struct {
	// Cert and Key are files in PEM: the certificate with its chain, and its key.
	Cert, Key string
	// CACert is a file of the authorities whose client certificates are taken; empty: none are asked for.
	CACert string
}

// Auth is http.auth. The zero value lets everybody in who reaches the port.
type Auth struct {
	// Given is true where the file has the section, whatever is in it.
	Given bool
	// Realm is http.realm, which the challenge names.
	Realm string
	// FailDelay is how long a refusal waits.
	FailDelay time.Duration
	// Htpasswd is the path of a file; empty: none.
	Htpasswd string
	LDAP     *LDAP
	Bearer   *Bearer
	OpenID   *OpenID
	MTLS     MTLS
	// APIKey lets users make keys of their own.
	APIKey bool
	// Token is our own token endpoint.
	Token Token
	// SecureSession marks cookies as for HTTPS only; nil: when the server speaks TLS.
	SecureSession *bool
}

// LDAP is http.auth.ldap.
type LDAP struct {
	Address string
	Port    int
	// Insecure is LDAP without TLS, StartTLS one that begins without and goes on with it; neither: LDAPS.
	Insecure, StartTLS bool
	SkipVerify         bool
	// SubtreeSearch looks for users below BaseDN at any depth, else right below it.
	SubtreeSearch      bool
	BaseDN             string
	UserAttribute      string
	UserFilter         string
	UserGroupAttribute string
	// CACert is a file of authorities in PEM; empty: the system's.
	CACert string
	// BindDN and BindPassword are of CredentialsFile, or of the section itself.
	BindDN          string
	BindPassword    Secret
	CredentialsFile string
}

// Token is http.auth.token, a section of ours: its presence turns our own token endpoint on.
type Token struct {
	Enabled bool
	// Service is what the registry is called in challenges and tokens; empty: "holdfast". The same at every replica.
	Service string
}

// Bearer is http.auth.bearer.
type Bearer struct {
	// Realm is the URL of an external token server, Service what it calls this registry; Cert a file with the key or certificate, in PEM, or a JWKS, that its tokens
	// are verified by.
	Realm, Service, Cert string
	OIDC                 []OIDC
}

// OIDC is an issuer of identity tokens for workloads, an item of http.auth.bearer.oidc.
type OIDC struct {
	Issuer    string
	Audiences []string
	// CertificateAuthority is PEM, CertificateAuthorityFile a path: whom the issuer's server is verified by.
	CertificateAuthority, CertificateAuthorityFile string
	SkipIssuerVerification                         bool
	Mapping                                        ClaimMapping
}

// ClaimMapping makes an identity of a token's claims. All expressions are CEL.
type ClaimMapping struct {
	Username, Groups string
	Variables        []Variable
	Validations      []Validation
}

// Variable is a name for the value of an expression.
type Variable struct{ Name, Expression string }

// Validation is an expression that must be true, and what is said when it is not.
type Validation struct{ Expression, Message string }

// OpenID is http.auth.openid: people log in with a browser.
type OpenID struct {
	Providers            map[string]*Provider
	CallbackAllowOrigins []string
}

// Provider is one of google, gitlab, github, oidc.
type Provider struct {
	Name             string // shown to people
	ClientID         string // with ClientSecret of CredentialsFile, or of the section itself
	ClientSecret     Secret
	CredentialsFile  string
	KeyPath          string
	Issuer           string
	AuthURL          string
	TokenURL         string
	Scopes           []string
	Username, Groups string // claims
}

// MTLS is http.auth.mtls: how a certificate names its holder.
type MTLS struct {
	// IdentityAttributes are asked in their order: CommonName, Subject, Email, URI, DNSName.
	IdentityAttributes []string
	URISANPattern      string
	// URISANIndex and the others count from 0; nil is 0.
	URISANIndex, DNSSANIndex, EmailSANIndex *int
}

// AccessControl is http.accessControl.
type AccessControl struct {
	// Given is true where the file has the section, with a value in it.
	Given        bool
	Repositories map[string]*RepositoryPolicy // by glob
	Admin        Policy
	Groups       map[string]*Group // by name
	MetricsUsers []string
	// MetricsAnonymous are the actions of nobody at the metrics: "read" or none.
	MetricsAnonymous []string
}

// Group is users with a name.
type Group struct{ Users []string }

// RepositoryPolicy is what holds for the repositories of a glob.
type RepositoryPolicy struct {
	Policies  []Policy
	Default   []string // actions of whoever is logged in
	Anonymous []string // actions of everybody
	// ImmutableTags are tags that are never set to other content nor deleted, whoever asks.
	ImmutableTags []ImmutableTags
}

// Policy allows actions to users and groups.
type Policy struct {
	Users, Groups, Actions []string
	Conditions             []Condition
}

// Condition is an expression of CEL that must be true for a policy to allow anything, and what is said when it is not.
type Condition struct{ Expression, Message string }

// ImmutableTags are the tags that Patterns (globs) match and Except does not.
type ImmutableTags struct{ Patterns, Except []string }

// Limits are what a client may take, of http. Zero values: no limit.
type Limits struct {
	// Rate is requests per second of one client for one path, at each replica; MethodRates those of one method.
	Rate        int
	MethodRates []MethodRate
	// ClientConcurrency is how many requests of one client are served at once.
	ClientConcurrency int
	// MaxUploads and MaxRequests are how many uploads, and other requests, of all clients are served at once; 0: as many as the memory allows.
	MaxUploads, MaxRequests int
	// MinBodyRate is bytes per second that a request's body must have, over 30 s; 0: one byte in HTTP.ReadTimeout.
	MinBodyRate int64
}

// Proxy is who may speak for clients.
type Proxy struct {
	// Trusted are networks in CIDR, or addresses.
	Trusted []string
	// Protocol takes the PROXY protocol's header from Trusted.
	Protocol bool
	// ExternalURL is how clients reach the registry, without a slash at its end; empty: by the request.
	ExternalURL string
	// AllowOrigin are the origins whose pages may ask (CORS).
	AllowOrigin []string
	// H2C speaks HTTP/2 without TLS, for a proxy in front.
	H2C bool
}
