package store

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

const (
	h2        = `[0-9a-f]{2}/`
	digestKey = `sha256-[0-9a-f]{64}`
	repoKey   = `[a-z0-9._!-]+`
	tagKey    = `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
)

// shapes are all keys that the format has.
var shapes = regexp.MustCompile(`^(cfg/.+` +
	`|d/` + h2 + `[0-9a-f]{32}` +
	`|b/` + h2 + digestKey +
	`|l/` + h2 + digestKey + `/` + repoKey +
	`|r/` + h2 + repoKey + `/(m/` + digestKey + `|t/` + tagKey + `|s/` + digestKey + `|g/` + digestKey + `/` + tagKey + `|f)` +
	`|n/` + repoKey +
	`|u/` + h2 + `[0-9a-f]{32})$`)

var escape = strings.NewReplacer("-", "!", ".", "-", "/", ".")

func part(repo string) string { return escape.Replace(repo) }

func digestPart(d string) string { return strings.Replace(d, ":", "-", 1) }

func digestPath(d string) string {
	_, hex, _ := strings.Cut(d, ":")
	return hex[:2] + "/" + digestPart(d)
}

func blobKey(d string) string { return "b/" + digestPath(d) }

func linkKey(repo, d string) string { return "l/" + digestPath(d) + "/" + part(repo) }

func repoPrefix(repo string) string {
	sum := sha256.Sum256([]byte(repo))
	return "r/" + hex.EncodeToString(sum[:1]) + "/" + part(repo) + "/"
}

func manifestKey(repo, d string) string { return repoPrefix(repo) + "m/" + digestPart(d) }

func tagKeyOf(repo, tag string) string { return repoPrefix(repo) + "t/" + tag }

// inRepository splits a key below r/: its prefix, the kind ("m", "t", …) and the rest.
func inRepository(key string) (prefix, kind, rest string) {
	parts := strings.SplitN(key, "/", 5)
	if len(parts) < 5 || parts[0] != "r" {
		return "", "", ""
	}
	return strings.Join(parts[:3], "/") + "/", parts[3], parts[4]
}
