package config

import (
	"fmt"
	"log/slog"
)

// Secret is a string that shows as "***" wherever it is formatted, logged or encoded. The value itself is
// string(s).
type Secret string

const masked = "***"

// String returns "***", or "" when nothing is set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString is String in quotes.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Format hides the value from every verb: fmt asks String only for some of them.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = f.Write([]byte(text)) // fmt keeps its own errors
}

// MarshalText hides the value from JSON, YAML and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format shows which directory it is. Behind a pointer fmt does not ask the Secret in it for every verb.
func (l *LDAP) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "LDAP %q", l.Address) } // fmt keeps its own errors

// Format shows which provider it is, as LDAP's does.
func (p *Provider) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "provider %q", p.Issuer) } // fmt keeps its own errors
