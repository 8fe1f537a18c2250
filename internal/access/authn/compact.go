package authn

import (
	"encoding/base64"
	"strings"
)

// IsCompact reports whether a text is written as a token of three parts is (RFC 7515, 7.1), in the one way that there is: decoders skip line breaks, and do not look at
// the last bits of a part, so that what is signed could be shown in several.
func IsCompact(token string) bool {
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return false
	}
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}
