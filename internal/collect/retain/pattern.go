package retain

import (
	"fmt"
	"regexp"

	"github.com/bmatcuk/doublestar/v4"

	"holdfast/internal/oci"
)

// Pattern is a regular expression (RE2) that matches anywhere in a tag. The zero value matches every tag.
type Pattern struct{ re *regexp.Regexp }

// ParsePattern compiles a pattern.
func ParsePattern(text string) (Pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return Pattern{}, fmt.Errorf("retain: compile a pattern: %w", err)
	}
	return Pattern{re}, nil
}

// Match reports whether the pattern matches a part of the tag.
func (p Pattern) Match(tag oci.Tag) bool { return p.re == nil || p.re.MatchString(string(tag)) }

// String is the text that was parsed.
func (p Pattern) String() string {
	if p.re == nil {
		return ""
	}
	return p.re.String()
}

// Equal reports whether two patterns have the same text.
func (p Pattern) Equal(other Pattern) bool { return p.String() == other.String() }

// Glob is a pattern for whole repository names, as zot's: * is any part of a path component, ** any components, ? a character, [a-z] and
// {a,b} are choices. The zero value matches no repository.
type Glob struct{ text string }

// ParseGlob checks a glob.
func ParseGlob(text string) (Glob, error) {
	if !doublestar.ValidatePattern(text) {
		return Glob{}, fmt.Errorf("retain: parse a glob: %w", doublestar.ErrBadPattern)
	}
	return Glob{text}, nil
}

// Match reports whether the glob matches the repository's whole name.
func (g Glob) Match(repo oci.Repository) bool {
	matched, err := doublestar.Match(g.text, string(repo))
	return err == nil && matched // the only error is a bad pattern, which ParseGlob refuses
}

// String is the text that was parsed.
func (g Glob) String() string { return g.text }

// Equal reports whether two globs have the same text.
func (g Glob) Equal(other Glob) bool { return g == other }
