package ldap

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// Security is how the connection is protected.
type Security uint8

// The ways. The zero value is the safest.
const (
	TLS      Security = iota // LDAPS: TLS from the first byte
	StartTLS                 // plain, and TLS before anything is asked
	Plain                    // none: passwords can be read on the way
)

// Config is a directory, and how users are found in it. It is not changed after New.
type Config struct {
	Host string
	// Port is 636 for 0, and 389 where the connection does not begin with TLS.
	Port       int
	Security   Security
	SkipVerify bool
	// CACert is a file of authorities in PEM, which is read by New; empty: the system's.
	CACert string

	// BindDN and BindPassword are the account that searches. Without both the search is anonymous.
	BindDN, BindPassword string
	// BaseDN is where users are: right below it, or at any depth with Subtree.
	BaseDN  string
	Subtree bool
	// UserAttribute is what a user's name is compared with. UserFilter is a filter of RFC 4515 that an entry must match besides; the parentheses around it may be left out.
	UserAttribute, UserFilter string
	// GroupAttribute is an attribute of a user's entry. Its values are the groups, as they stand: for memberOf they are DNs. Empty: no groups.
	GroupAttribute string

	// Timeout bounds a whole check, connecting and waiting for a free connection included; 0: 5 s.
	Timeout time.Duration
	// Connections is how many are used at once; 0: 16.
	Connections int
	// Cached is how long a good answer is good, from before it was asked for; 0: 5 s. Others are not kept.
	Cached time.Duration
	// Refusal is the least time that a refusal takes, so that it does not tell which names there are; 0: 300 ms.
	Refusal time.Duration
}

const (
	defaultTimeout     = 5 * time.Second
	defaultConnections = 16
	defaultCached      = 5 * time.Second
	defaultRefusal     = 300 * time.Millisecond
)

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Connections = cmp.Or(c.Connections, defaultConnections)
	c.Cached = cmp.Or(c.Cached, defaultCached)
	c.Refusal = cmp.Or(c.Refusal, defaultRefusal)
	if c.Port == 0 {
		if c.Port = 389; c.Security == TLS {
			c.Port = 636
		}
	}
	return c
}

func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// check lists everything that is wrong with a configuration.
func (c Config) check() error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("ldap: %w", err))
		}
	}
	if c.Host == "" {
		add(errors.New("no host is given"))
	}
	if c.BindPassword != "" && c.BindDN == "" || c.BindPassword == "" && c.BindDN != "" {
		add(errors.New("the account that searches has a DN without a password, or a password without a DN"))
	}
	add(CheckDN(c.BaseDN))
	add(CheckAttribute(c.UserAttribute))
	if c.GroupAttribute != "" {
		add(CheckAttribute(c.GroupAttribute))
	}
	add(CheckFilter(c.UserFilter))
	return errors.Join(errs...)
}

var errNotADN = errors.New(`not a DN: want one as "ou=people,dc=example,dc=org"`)

// CheckDN returns an error for what is not the DN of an entry.
func CheckDN(dn string) error {
	if parsed, err := goldap.ParseDN(dn); err != nil || len(parsed.RDNs) == 0 {
		return errNotADN
	}
	return nil
}

// CheckAttribute returns an error for what is not the name of an attribute (RFC 4512, 2.5).
func CheckAttribute(name string) error {
	if !regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`).MatchString(name) {
		return errors.New(`not the name of an attribute: want one as "uid"`)
	}
	return nil
}

// CheckFilter returns an error for what is neither empty nor a filter of RFC 4515.
func CheckFilter(filter string) error {
	if filter == "" {
		return nil
	}
	if _, err := goldap.CompileFilter(inParentheses(filter)); err != nil {
		return errors.New(`not a filter: want one as "(objectClass=person)"`)
	}
	return nil
}

func inParentheses(filter string) string {
	if strings.HasPrefix(filter, "(") {
		return filter
	}
	return "(" + filter + ")"
}

// tls reads the authorities.
func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify} //nolint:gosec // only where the operator says so
	if c.CACert == "" || c.Security == Plain {
		return t, nil
	}
	pem, err := os.ReadFile(c.CACert)
	if err != nil {
		return nil, fmt.Errorf("ldap: read the authorities of the directory: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ldap: %s has no certificate in PEM", c.CACert)
	}
	return t, nil
}
