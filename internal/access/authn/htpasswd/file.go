package htpasswd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of a file. A hash that takes longer is how one wrong password after the other would keep a replica busy; a weak one is taken with a warning, since
// htpasswd(1) makes them where nobody says otherwise.
const (
	maxFileBytes  = 10 << 20
	minBcryptCost = 10
	maxBcryptCost = 14
	maxRounds     = 1_000_000
	// maxBcryptBytes is as much of a password as bcrypt looks at.
	maxBcryptBytes = 72
	maxNameBytes   = 256
)

// users are the content of a file.
type users struct {
	hashes map[string]hash
	names  []string // in the order of the file
}

// hash is what a password is compared with. text is what the file has.
type hash struct {
	text string
	sha  algorithm.Digest // nil: bcrypt
}

// matches takes as long as the file says, whatever the password is.
func (h hash) matches(password string) bool {
	if h.sha == nil {
		right := bcrypt.CompareHashAndPassword([]byte(h.text), []byte(password)) == nil
		return right && len(password) <= maxBcryptBytes // it looks at no more
	}
	return h.sha.Match(password)
}

// parse reads a file. The error is everything that is wrong with it, with line numbers and without hashes.
func parse(text []byte) (u *users, warnings []string, err error) {
	switch {
	case len(text) > maxFileBytes:
		return nil, nil, fmt.Errorf("it is larger than %d MiB", maxFileBytes>>20)
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return nil, nil, errors.New("line 1: begins with a byte order mark, which would be part of the first name: save it as plain UTF-8")
	}
	u = &users{hashes: map[string]hash{}}
	var wrong []error
	number, weak := 0, 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, found := strings.Cut(line, ":")
		problem := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("line %d: "+format, append([]any{number}, args...)...))
		}
		rest, _, _ = strings.Cut(rest, ":") // what follows is a comment to htpasswd
		switch {
		case !found:
			problem("has no colon between a name and a hash")
			continue
		case name == "":
			problem("has no name before the colon")
			continue
		case len(name) > maxNameBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			problem("the name is longer than %d bytes, or not of printable UTF-8", maxNameBytes)
			continue
		}
		if _, again := u.hashes[name]; again {
			problem("user %q is there twice", name)
			continue
		}
		h, isWeak, err := parseHash(rest)
		if err != nil {
			problem("user %q: %w", name, err)
			continue
		}
		if isWeak {
			weak++
		}
		u.hashes[name], u.names = h, append(u.names, name)
	}
	if len(wrong) > 0 {
		return nil, nil, errors.Join(wrong...)
	}
	if weak > 0 {
		warnings = append(warnings, fmt.Sprintf("%d of %d hashes are of bcrypt with a cost below %d: make them anew with htpasswd -B -C 12", weak, len(u.names), minBcryptCost))
	}
	return u, warnings, nil
}

func parseHash(text string) (h hash, weak bool, err error) {
	switch {
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || len(text) != 60 {
			return h, false, errors.New("its bcrypt hash is damaged")
		}
		if cost > maxBcryptCost {
			return h, false, fmt.Errorf("its bcrypt hash has a cost of %d: at most %d, or a few wrong passwords keep a replica busy", cost, maxBcryptCost)
		}
		return hash{text: text}, cost < minBcryptCost, nil
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		if rounds, ok := strings.CutPrefix(text[3:], "rounds="); ok {
			digits, _, _ := strings.Cut(rounds, "$")
			if len(digits) > len(fmt.Sprint(maxRounds)) || len(digits) == len(fmt.Sprint(maxRounds)) && digits > fmt.Sprint(maxRounds) {
				return h, false, fmt.Errorf("its hash has more than %d rounds", maxRounds)
			}
		}
		digest, err := shacrypt.Decode(text)
		if err != nil {
			return h, false, errors.New("its SHA-crypt hash is damaged")
		}
		return hash{text: text, sha: digest}, false, nil
	}
	return h, false, fmt.Errorf("hash type %s not allowed: bcrypt ($2y$), SHA-256 crypt ($5$) or SHA-512 crypt ($6$)", kindOf(text))
}

// kindOf names a hash by what shows no part of it.
func kindOf(text string) string {
	switch {
	case strings.HasPrefix(text, "{SHA}"):
		return "{SHA}"
	case strings.HasPrefix(text, "$apr1$"):
		return "$apr1$ (MD5)"
	case strings.HasPrefix(text, "$1$"):
		return "$1$ (MD5)"
	}
	return "crypt, plain or unknown"
}
