package policy

import (
	"fmt"
	"strings"
)

// Config is http.accessControl. It is not changed by New.
type Config struct {
	// Given says that there are rules. Without any, whoever is authenticated may do everything.
	Given bool
	// Authenticates says that there is a way to find out who asks. Without one, and without rules, everybody may do everything.
	Authenticates bool
	// OutsideGroups says that an identity may bring groups along, of a directory or a provider: then a group that Groups does not name is nothing to wonder about.
	OutsideGroups bool

	Repositories map[string]Repository // by glob
	Admin        Rule
	Groups       map[string][]string // users by group
	MetricsUsers []string
	// MetricsAnonymous are the actions of nobody at the metrics: "read" or none.
	MetricsAnonymous []string
}

// Repository is what holds for the repositories of a glob.
type Repository struct {
	Policies  []Rule
	Default   []string // actions of whoever is authenticated
	Anonymous []string // actions of whoever is not
	Immutable []ImmutableTags
}

// Rule allows actions to users and groups, while all its conditions are true.
type Rule struct {
	Users, Groups, Actions []string
	Conditions             []Condition
}

// Condition is an expression of CEL, and what is said to whoever is refused because it is false; "": nothing.
type Condition struct{ Expression, Message string }

// ImmutableTags are the tags that one of Patterns (globs) matches and none of Except. Such a tag is never set to other content, nor deleted, by a client.
type ImmutableTags struct{ Patterns, Except []string }

// Problem is something in a Config. Path is where, below http.accessControl: a key, or "repositories" or "groups", a name, and a key below it.
type Problem struct {
	Path             []string
	Wrong, Got, Want string
}

// String says where and what.
func (p Problem) String() string {
	s := strings.Join(p.Path, ".") + ": " + p.Wrong
	if p.Got != "" {
		s += fmt.Sprintf(": got %q", p.Got)
	}
	if p.Want != "" {
		s += ", want " + p.Want
	}
	return s
}

// Problems is the error of New: all of them.
type Problems []Problem

// Error returns a line for each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = "policy: " + one.String()
	}
	return strings.Join(lines, "\n")
}
