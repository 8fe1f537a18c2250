package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	goldap "github.com/go-ldap/ldap/v3"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

// Directory is a way of authentication by a directory. Safe for concurrent use.
type Directory struct {
	cfg    Config
	tls    *tls.Config
	filter string // what an entry must match besides the name; ""
	turns  chan struct{}
	pool   pool
	good   answers
}

var _ authn.Passwords = (*Directory)(nil)

// New checks the configuration and reads the file of authorities. It does not ask the directory: one that is down does not keep a replica from
// its start.
func New(cfg Config) (*Directory, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	d := &Directory{cfg: cfg, tls: t, turns: make(chan struct{}, cfg.Connections), good: newAnswers(cfg.Cached, time.Now)}
	if cfg.UserFilter != "" {
		d.filter = inParentheses(cfg.UserFilter)
	}
	return d, nil
}

// Close ends the connections. A check that goes on ends its own.
func (d *Directory) Close() { d.pool.close() }

// Bounds of what is sent to a directory, in bytes.
const (
	maxName     = 256
	maxPassword = 4 << 10
)

// Check implements authn.Passwords. The identity's name is as the directory spells it, where it differs from what was given in upper and lower case
// only: one entry is one user. A good answer is kept for Config.Cached, groups included.
// Errors: authn.ErrOther when no entry has the name; authn.ErrWrong, also when more than one has it; anything else is a directory that did not answer in
// time, or refused its own account.
func (d *Directory) Check(ctx context.Context, name, password string) (access.Identity, error) {
	// A bind with a name and no password is anonymous, and succeeds (RFC 4513, 5.1.2).
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) || password == "" || len(password) > maxPassword {
		return access.Identity{}, fmt.Errorf("ldap: the name or the password is empty, too long, or not text: %w", authn.ErrWrong)
	}
	key := d.good.key(name, password)
	if id, found := d.good.get(key); found {
		return id, nil
	}
	begin := time.Now()
	id, err := d.ask(ctx, name, password)
	switch {
	case err == nil:
		d.good.put(key, id, begin)
		return id, nil
	case errors.Is(err, authn.ErrOther) || errors.Is(err, authn.ErrWrong):
		if err := wait(ctx, d.cfg.Refusal-time.Since(begin)); err != nil {
			return access.Identity{}, fmt.Errorf("ldap: wait with a refusal: %w", err)
		}
	}
	return access.Identity{}, err
}

// Known returns who it is when that was asked for within Config.Cached and was right. It asks nobody.
func (d *Directory) Known(name, password string) (access.Identity, bool) {
	return d.good.get(d.good.key(name, password))
}

func wait(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask asks the directory, in its turn and within the time-out.
func (d *Directory) ask(ctx context.Context, name, password string) (access.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	case <-ctx.Done():
		return access.Identity{}, fmt.Errorf("ldap: wait for a connection to %s: %w", d.cfg.address(), ctx.Err())
	}
	var found user
	if err := d.use(ctx, func(c *connection) error {
		var err error
		found, err = d.search(c, name)
		return err
	}); err != nil {
		return access.Identity{}, fmt.Errorf("ldap: search at %s: %w", d.cfg.address(), err)
	}
	bindDN := found.dn
	if found.refused != nil { // costs a bind as well, as an account that is not there
		bindDN = "cn=nobody-" + d.good.key(name, password).String() + "," + d.cfg.BaseDN
	}
	err := d.use(ctx, func(c *connection) error { return c.Bind(bindDN, password) })
	switch {
	case err != nil && !isRefusal(err):
		return access.Identity{}, fmt.Errorf("ldap: bind at %s: %w", d.cfg.address(), err)
	case found.refused != nil:
		return access.Identity{}, found.refused
	case err != nil:
		return access.Identity{}, fmt.Errorf("ldap: bind as %s: %s: %w", found.dn, text(err), authn.ErrWrong)
	}
	return access.Identity{Name: found.name, Groups: found.groups, Way: access.LDAP}, nil
}

// user is what a search found.
type user struct {
	dn, name string
	groups   []string
	refused  error // why there is no user of the name; nil: there is one
}

var (
	errNone     = fmt.Errorf("ldap: no entry has the name: %w", authn.ErrOther)
	errSeveral  = fmt.Errorf("ldap: several entries have the name: %w", authn.ErrWrong)
	errSpelling = fmt.Errorf("ldap: the entry has the name in another spelling: %w", authn.ErrWrong)
)

// search finds the entry of a name, as the account that searches. The connection may be bound as anybody before.
func (d *Directory) search(c *connection, name string) (user, error) {
	var err error
	if d.cfg.BindDN != "" {
		err = c.Bind(d.cfg.BindDN, d.cfg.BindPassword)
	} else {
		err = c.UnauthenticatedBind("")
	}
	if err != nil {
		return user{}, fmt.Errorf("bind as the account that searches: %w", err)
	}
	scope := goldap.ScopeSingleLevel
	if d.cfg.Subtree {
		scope = goldap.ScopeWholeSubtree
	}
	attributes := []string{d.cfg.UserAttribute}
	if d.cfg.GroupAttribute != "" {
		attributes = append(attributes, d.cfg.GroupAttribute)
	}
	const two = 2 // more than one is as bad as many
	result, err := c.Search(goldap.NewSearchRequest(d.cfg.BaseDN, scope, goldap.NeverDerefAliases, two, max(1, int(d.cfg.Timeout/time.Second)), false,
		d.filterFor(name), attributes, nil))
	switch {
	case goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded):
		return user{refused: errSeveral}, nil
	case err != nil:
		return user{}, err
	case len(result.Entries) == 0:
		return user{refused: errNone}, nil
	case len(result.Entries) > 1:
		return user{refused: errSeveral}, nil
	}
	entry := result.Entries[0]
	if entry.DN == "" { // a bind as nobody would succeed
		return user{}, errors.New("the directory found an entry without a DN")
	}
	found := user{dn: entry.DN, name: spelled(name, entry.GetEqualFoldAttributeValues(d.cfg.UserAttribute))}
	if d.cfg.GroupAttribute != "" {
		found.groups = entry.GetEqualFoldAttributeValues(d.cfg.GroupAttribute)
	}
	if found.name == "" {
		return user{refused: errSpelling}, nil
	}
	return found, nil
}

// filterFor is the filter for a name, whatever is in it (RFC 4515, 3).
func (d *Directory) filterFor(name string) string {
	filter := "(" + d.cfg.UserAttribute + "=" + goldap.EscapeFilter(name) + ")"
	if d.filter != "" {
		filter = "(&" + filter + d.filter + ")"
	}
	return filter
}

// spelled returns a name as the directory has it: what a directory takes for equal (case, spaces, Unicode forms) are different names to rules, and one
// entry must not be several users. Of a value that differs in more than case it returns "". What the account that searches may not read is taken as given.
func spelled(name string, values []string) string {
	if len(values) == 0 {
		return name
	}
	folded := ""
	for _, v := range values {
		if v == name {
			return v
		}
		if folded == "" && strings.EqualFold(v, name) {
			folded = v
		}
	}
	return folded
}

// isRefusal reports whether the directory says that a password is not good for an account, or that the account may not log in, as opposed to that it
// cannot say (RFC 4511, A.2).
func isRefusal(err error) bool {
	return goldap.IsErrorAnyOf(err, goldap.LDAPResultInvalidCredentials, goldap.LDAPResultInappropriateAuthentication, goldap.LDAPResultNoSuchObject,
		goldap.LDAPResultInvalidDNSyntax, goldap.LDAPResultInsufficientAccessRights, goldap.LDAPResultConstraintViolation, goldap.LDAPResultUnwillingToPerform)
}

// text is an error of the directory without the bytes of its messages, which may hold what it likes.
func text(err error) string {
	var e *goldap.Error
	if errors.As(err, &e) {
		return goldap.LDAPResultCodeMap[e.ResultCode]
	}
	return "no answer"
}
