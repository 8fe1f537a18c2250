// Package scope holds the words in which token servers and clients speak of rights: scopes as a client asks for them, and the claim "access" of a token
// (CNCF distribution, "Token Scope Documentation" and "Token Authentication Implementation"). What they mean in the words of package access is said here once.
package scope

import (
	"errors"
	"slices"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/oci"
)

// The kinds and actions that are known.
const (
	Repository = "repository"
	Registry   = "registry"
	Catalog    = "catalog"

	Pull   = "pull"
	Push   = "push"
	Delete = "delete"
	All    = "*"
)

// Access is an item of the claim "access".
type Access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
	// Expires ends this item before the token, in seconds since 1970; zot knows it. nil: with the token.
	Expires *float64 `json:"exp,omitempty"`
}

// String is the item as a scope.
func (a Access) String() string { return a.Type + ":" + a.Name + ":" + strings.Join(a.Actions, ",") }

// Most is how many scopes a request may ask for, and mostBytes how long each may be.
const (
	Most      = 64
	mostBytes = 512
)

// ErrTooMany is a request for more scopes than anybody needs.
var ErrTooMany = errors.New("scope: too many scopes")

// Parse reads scopes; each text may hold several, with spaces between them. What is of a kind that is not known, or names no repository, is left out: nobody has
// a right to it. Items of one repository are joined. Every item that is returned has a valid name, and actions that are known, each once.
// Errors: ErrTooMany.
func Parse(texts []string) ([]Access, error) {
	var all []Access
	n := 0
	for _, text := range texts {
		for one := range strings.SplitSeq(text, " ") {
			if one == "" {
				continue
			}
			if n++; n > Most {
				return nil, ErrTooMany
			}
			a, ok := parse(one)
			if !ok {
				continue
			}
			i := slices.IndexFunc(all, func(other Access) bool { return other.Type == a.Type && other.Name == a.Name })
			if i < 0 {
				all = append(all, Access{Type: a.Type, Name: a.Name})
				i = len(all) - 1
			}
			for _, action := range a.Actions {
				if !slices.Contains(all[i].Actions, action) {
					all[i].Actions = append(all[i].Actions, action)
				}
			}
		}
	}
	return all, nil
}

// parse reads one scope: type:name:action,action. A name may have colons.
func parse(text string) (Access, bool) {
	if len(text) > mostBytes {
		return Access{}, false
	}
	kind, rest, found := strings.Cut(text, ":")
	i := strings.LastIndexByte(rest, ':')
	if !found || i < 0 {
		return Access{}, false
	}
	kind, _, _ = strings.Cut(kind, "(") // repository(plugin)
	a := Access{Type: kind, Name: rest[:i]}
	for action := range strings.SplitSeq(rest[i+1:], ",") {
		switch {
		case kind == Repository && slices.Contains([]string{Pull, Push, Delete, All}, action), kind == Registry && action == All:
			a.Actions = append(a.Actions, action)
		}
	}
	switch kind {
	case Repository:
		_, err := oci.ParseRepository(a.Name)
		return a, err == nil && len(a.Actions) > 0
	case Registry:
		return a, a.Name == Catalog && len(a.Actions) > 0
	}
	return Access{}, false
}

// Actions are what an action of a token allows to do with a repository; nil for one that is not known.
func Actions(action string) []access.Action {
	switch action {
	case Pull:
		return []access.Action{access.Read}
	case Push:
		return []access.Action{access.Create, access.Update}
	case Delete:
		return []access.Action{access.Delete, access.DetectManifestCollision}
	case All:
		return []access.Action{access.Read, access.Create, access.Update, access.Delete, access.DetectManifestCollision}
	}
	return nil
}

// For is the scope that a request needs which does something with a repository: what a challenge asks for. Updates and creations need to pull as well, as clients
// look first whether something is there.
func For(repo oci.Repository, actions ...access.Action) string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, a := range actions {
		switch a {
		case access.Read:
			add(Pull)
		case access.Create, access.Update:
			add(Pull)
			add(Push)
		case access.Delete:
			add(Delete)
		}
	}
	return Access{Repository, string(repo), names, nil}.String()
}

// ForCatalog is the scope that the list of repositories needs.
const ForCatalog = Registry + ":" + Catalog + ":" + All

// Limits are what a token's access allows at a time, in our words. rules says that the rules of the registry are not asked besides. Items that are not known, or
// have ended, allow nothing.
func Limits(all []Access, rules bool, now time.Time) *access.Limits {
	l := &access.Limits{Rules: rules}
	for _, a := range all {
		if a.Expires != nil && !now.Before(time.Unix(int64(*a.Expires), 0)) {
			continue
		}
		if a.Type == Registry && a.Name == Catalog && slices.Contains(a.Actions, All) {
			l.Catalog, l.CatalogByRules = true, !rules
			continue
		}
		repo, err := oci.ParseRepository(a.Name)
		if a.Type != Repository || err != nil {
			continue
		}
		limit := access.Limit{Name: repo}
		for _, action := range a.Actions {
			limit.Actions = append(limit.Actions, Actions(action)...)
		}
		l.Repositories = append(l.Repositories, limit)
	}
	return l
}
