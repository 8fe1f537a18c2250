// Package mtls is the way of authentication by a client's certificate: it reads from it whose it is, as http.auth.mtls says. That the certificate is good, and of an
// authority of http.tls.cacert, the TLS layer has found before; a certificate that was withdrawn is good until it expires, so let them be short-lived.
package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

// Config says where a certificate names its holder. The zero value: in its common name.
type Config struct {
	// Attributes are asked in their order, the first that is there counts: CommonName (CN), Subject (DN), Email (rfc822name), URI (URL), DNSName (DNS), in any case. None: CommonName.
	Attributes []string
	// URIPattern is a regular expression whose first group is the name in a URI; "": all of it is.
	URIPattern string
	// URIIndex, DNSIndex and EmailIndex say which of several subject alternative names of a kind counts, from 0.
	URIIndex, DNSIndex, EmailIndex int
}

// attribute returns a name of a certificate, or why there is none.
type attribute func(*x509.Certificate) (string, error)

// Holders is the way of authentication. Safe for concurrent use.
type Holders struct{ attributes []attribute }

var _ authn.Certificates = (*Holders)(nil)

// New returns a way by a configuration. Its error names everything that is wrong with it.
func New(cfg Config) (*Holders, error) {
	h := &Holders{}
	var errs []error
	for name, i := range map[string]int{"uriSanIndex": cfg.URIIndex, "dnsSanIndex": cfg.DNSIndex, "emailSanIndex": cfg.EmailIndex} {
		if i < 0 {
			errs = append(errs, fmt.Errorf("mtls: %s %d is below 0", name, i))
		}
	}
	pattern, err := regexp.Compile(cfg.URIPattern)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("mtls: uriSanPattern: %w", err))
	case cfg.URIPattern == "":
		pattern = nil
	case pattern.NumSubexp() < 1:
		errs = append(errs, errors.New("mtls: uriSanPattern has no group in brackets, which would be the name"))
	}
	names := cfg.Attributes
	if len(names) == 0 {
		names = []string{"CommonName"}
	}
	for _, name := range names {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "commonname", "cn":
			h.attributes = append(h.attributes, commonName)
		case "subject", "dn":
			h.attributes = append(h.attributes, func(c *x509.Certificate) (string, error) { return c.Subject.String(), nil })
		case "uri", "url":
			h.attributes = append(h.attributes, uri(cfg.URIIndex, pattern))
		case "dnsname", "dns":
			h.attributes = append(h.attributes, func(c *x509.Certificate) (string, error) { return at("DNS name", c.DNSNames, cfg.DNSIndex) })
		case "email", "rfc822name":
			h.attributes = append(h.attributes, func(c *x509.Certificate) (string, error) {
				return at("e-mail address", c.EmailAddresses, cfg.EmailIndex)
			})
		default:
			errs = append(errs, fmt.Errorf("mtls: %q is not an attribute of a certificate: want CommonName, Subject, Email, URI or DNSName", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return h, nil
}

// Identify implements authn.Certificates.
func (h *Holders) Identify(leaf *x509.Certificate) (access.Identity, error) {
	var errs []error
	for _, attribute := range h.attributes {
		name, err := attribute(leaf)
		if err == nil {
			err = fit(name)
		}
		if err == nil {
			return access.Identity{Name: name, Way: access.Certificate}, nil
		}
		errs = append(errs, err)
	}
	return access.Identity{}, fmt.Errorf("%w: mtls: the certificate names nobody: %w", authn.ErrWrong, errors.Join(errs...))
}

// fit says why a name is none that rules and logs can hold.
func fit(name string) error {
	const most = 1024
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }
	switch {
	case name == "":
		return errors.New("an empty name")
	case len(name) > most:
		return fmt.Errorf("a name of %d bytes", len(name))
	case strings.ContainsFunc(name, odd):
		return errors.New("a name with characters that cannot be shown")
	}
	return nil
}

func commonName(c *x509.Certificate) (string, error) {
	if c.Subject.CommonName == "" {
		return "", errors.New("no common name")
	}
	return c.Subject.CommonName, nil
}

func at(what string, list []string, i int) (string, error) {
	if i >= len(list) {
		return "", fmt.Errorf("no %s number %d, of %d", what, i, len(list))
	}
	return list[i], nil
}

func uri(i int, pattern *regexp.Regexp) attribute {
	return func(c *x509.Certificate) (string, error) {
		var all []string
		for _, u := range c.URIs {
			all = append(all, u.String())
		}
		one, err := at("URI", all, i)
		if err != nil || pattern == nil {
			return one, err
		}
		groups := pattern.FindStringSubmatch(one)
		if groups == nil {
			return "", errors.New("the URI does not match uriSanPattern")
		}
		return groups[1], nil
	}
}
