package login

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/internal/access/authn"
)

func isWrong(err error) bool { return errors.Is(err, authn.ErrWrong) }

const (
	maxName   = 256
	maxGroups = 1000
)

// checkName refuses what cannot be a user's name.
func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
		return refused("the provider's name for the user, of %d bytes, is no name", len(name))
	}
	return nil
}

// personOf finds a name and groups in claims; what earlier claims say of the name counts. An address that the provider says is not verified is nobody's.
func personOf(p Provider, claims ...map[string]any) (person, error) {
	var who person
	claim := cmp.Or(p.Username, "email")
	for _, c := range claims {
		if name, ok := c[claim].(string); ok && name != "" && who.name == "" {
			who.name = name
		}
		if claim == "email" && (c["email_verified"] == false || c["email_verified"] == "false") {
			return person{}, refused("the provider has not verified the address")
		}
		who.groups = append(who.groups, groupsOf(c[cmp.Or(p.Groups, "groups")])...)
	}
	if who.name == "" {
		return person{}, refused("the provider gives no claim %q", claim)
	}
	slices.Sort(who.groups)
	who.groups = slices.Compact(who.groups)
	if len(who.groups) > maxGroups {
		return person{}, refused("the user is in %d groups: %d at most", len(who.groups), maxGroups)
	}
	return who, nil
}

// groupsOf is a claim that is a list of texts, or one text.
func groupsOf(claim any) []string {
	var all []string
	switch value := claim.(type) {
	case string:
		all = []string{value}
	case []any:
		for _, one := range value {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
	}
	return slices.DeleteFunc(all, func(g string) bool { return g == "" || !utf8.ValidString(g) })
}
