package oci

import (
	"crypto/sha256" // go-digest finds its hashes among what is linked in
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// Limits of the distribution-spec, "Pulling manifests".
const (
	maxRepositoryBytes = 255
	maxTagBytes        = 128
)

// Repository is a valid repository name: path components of lower-case letters, digits and the
// separators ".", "_", "__" and runs of "-", joined by "/"; at most 255 bytes.
// Spec: "Pulling manifests", <name>.
type Repository string

// Tag is a valid tag: a letter, digit or "_" and up to 127 more of these, "." and "-".
// Spec: "Pulling manifests", <reference>.
type Tag string

// Digest is a valid digest, sha256 or sha512, in lower-case hex.
type Digest = digest.Digest

// Reference names a manifest of a repository by exactly one of Tag and Digest.
type Reference struct {
	Tag    Tag
	Digest Digest
}

// String returns the tag or the digest.
func (r Reference) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return string(r.Tag)
}

// ParseRepository checks a repository name. Errors: NAME_INVALID.
func ParseRepository(name string) (Repository, error) {
	if name == "" {
		return "", nameError(name, "a repository name is empty")
	}
	if len(name) > maxRepositoryBytes {
		return "", nameError(name, "a repository name has at most %d bytes, this one has %d", maxRepositoryBytes, len(name))
	}
	for component := range strings.SplitSeq(name, "/") {
		if err := checkComponent(name, component); err != nil {
			return "", err
		}
	}
	return Repository(name), nil
}

func checkComponent(name, component string) error {
	if component == "" {
		return nameError(name, "a repository name has no empty component (no leading, trailing or double slash)")
	}
	for i := 0; i < len(component); i++ {
		switch c := component[i]; {
		case isAlnum(c), c == '.', c == '_', c == '-':
		case c >= 'A' && c <= 'Z':
			return nameError(name, "a repository name is lower case only")
		default:
			return nameError(name, "a repository name has an illegal byte 0x%02x: only a-z, 0-9, '.', '_', '-' and '/' are allowed", c)
		}
	}
	if !isAlnum(component[0]) || !isAlnum(component[len(component)-1]) {
		return nameError(name, "a component of a repository name begins and ends with a letter or digit, not as %q", Clip(component))
	}
	for i := 0; i < len(component); {
		start := i
		for i < len(component) && !isAlnum(component[i]) {
			i++
		}
		switch sep := component[start:i]; {
		case sep == "", sep == ".", sep == "_", sep == "__", strings.Trim(sep, "-") == "":
		default:
			return nameError(name, "components of a repository name separate letters by one '.', one or two '_' or any number of '-', not by %q", Clip(sep))
		}
		if i == start {
			i++
		}
	}
	return nil
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func nameError(name, format string, args ...any) *Error {
	return &Error{Code: NameInvalid, Message: fmt.Sprintf(format, args...), Detail: Field{Field: "name", Got: Clip(name)}}
}

// ParseTag checks a tag. Errors: MANIFEST_INVALID.
func ParseTag(s string) (Tag, error) {
	ok := s != "" && len(s) <= maxTagBytes && s[0] != '.' && s[0] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = isAlnum(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return "", &Error{
			Code:    ManifestInvalid,
			Message: "a tag matches [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}",
			Detail:  Field{Field: "tag", Got: Clip(s), Want: "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"},
		}
	}
	return Tag(s), nil
}

// hexDigits is how long the encoded part of a digest is, for each supported algorithm.
var hexDigits = map[digest.Algorithm]int{digest.SHA256: 64, digest.SHA512: 128}

// ParseDigest checks a digest: sha256 with 64 or sha512 with 128 lower-case hex digits. Errors: DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	alg, hex, found := strings.Cut(s, ":")
	if !found {
		return "", digestError(s, "a digest is written algorithm:hex")
	}
	if _, err := ParseAlgorithm(alg); err != nil {
		return "", digestError(s, "digest algorithm %q is not supported: use sha256 or sha512", Clip(alg))
	}
	if want := hexDigits[digest.Algorithm(alg)]; len(hex) != want {
		return "", digestError(s, "a %s digest has %d hex digits, this one has %d", alg, want, len(hex))
	}
	for i := 0; i < len(hex); i++ {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", digestError(s, "a digest has lower-case hex digits only, not 0x%02x", c)
		}
	}
	return Digest(s), nil
}

// IsDigest reports whether d is the digest of content. It allocates nothing for sha256.
func IsDigest(d Digest, content []byte) bool {
	want, found := strings.CutPrefix(string(d), "sha256:")
	if !found {
		return d.Algorithm().FromBytes(content) == d
	}
	var text [2 * sha256.Size]byte
	sum := sha256.Sum256(content)
	hex.Encode(text[:], sum[:])
	return string(text[:]) == want
}

// ParseAlgorithm checks the name of a digest algorithm: sha256 or sha512. Errors: DIGEST_INVALID.
func ParseAlgorithm(s string) (digest.Algorithm, error) {
	alg := digest.Algorithm(s)
	if hexDigits[alg] == 0 {
		return "", &Error{
			Code:    DigestInvalid,
			Message: fmt.Sprintf("digest algorithm %q is not supported: use sha256 or sha512", Clip(s)),
			Detail:  Field{Field: "digest-algorithm", Got: Clip(s), Want: "sha256 or sha512"},
		}
	}
	return alg, nil
}

func digestError(s, format string, args ...any) *Error {
	return &Error{Code: DigestInvalid, Message: fmt.Sprintf(format, args...), Detail: Field{Field: "digest", Got: Clip(s), Want: "sha256:<64 hex> or sha512:<128 hex>"}}
}

// ParseReference reads a reference: with a colon a digest, else a tag. Errors: DIGEST_INVALID, MANIFEST_INVALID.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// Clip cuts what a client sent to at most 64 bytes, between characters, to be shown in an answer or a log.
func Clip(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > limit-utf8.UTFMax+1 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
