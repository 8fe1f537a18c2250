package login

import (
	"net/url"
	"strings"
)

const maxBack = 2048

// checkBack reports whether a login may lead to a URL: a path of ours, or a URL of an origin that is allowed. What browsers and RFC 3986 read differently
// (backslashes, control characters, a scheme without slashes) is neither. "" leads nowhere, and is fine.
func checkBack(text string, allowed []string) bool {
	if text == "" {
		return true
	}
	if len(text) > maxBack || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || strings.ContainsAny(u.Path, "\\\r\n\x00") {
		return false
	}
	if strings.HasPrefix(text, "/") {
		return !strings.HasPrefix(text, "//") && !strings.HasPrefix(u.Path, "//") && u.Host == "" && u.Scheme == ""
	}
	if !strings.HasPrefix(text, u.Scheme+"://") {
		return false
	}
	own, ok := origin(text)
	for _, one := range allowed {
		if other, good := origin(one); ok && good && own == other {
			return true
		}
	}
	return false
}
