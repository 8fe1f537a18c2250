package guard

import (
	"fmt"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
)

// Refusal is the cause of a refusal, for the log: what was asked, and what decided.
type Refusal struct {
	Action     access.Action
	Repository oci.Repository
	Decision   policy.Decision
}

// Error says what decided.
func (r *Refusal) Error() string {
	return fmt.Sprintf("guard: %s of %s: %s", r.Action, r.Repository, r.Decision)
}

// Asked is the right that was asked for: the audit log tells it.
func (r *Refusal) Asked() access.Action { return r.Action }

// refuse is the answer to a request that is denied. Its words tell nothing of what exists.
//
// another says that the credentials do not reach so far, and that others of the same holder would: clients of token servers get another token when they are
// asked for credentials, and only then.
func refuse(r *access.Request, d policy.Decision, action access.Action, repo oci.Repository, another bool) error {
	cause := &Refusal{action, repo, d}
	if r.Identity.Anonymous() || r.Identity.Name == "" || another {
		return &oci.Error{Code: oci.Unauthorized, Message: "this needs credentials", Err: cause}
	}
	message := d.Message
	if message == "" {
		message = fmt.Sprintf("you may not %s in this repository", verbs[action])
	}
	return &oci.Error{Code: oci.Denied, Message: message, Detail: detail(action, repo), Err: cause}
}

// another reports whether whoever was denied may get credentials that are enough: where a token server decides, it is asked again; where the rules do, they
// must allow it but for the limits of the token.
func another(rules *policy.Policy, r *access.Request, ask policy.Ask) bool {
	id := r.Identity
	switch {
	case id.Limits == nil:
		return false
	case id.Limits.Rules:
		return true
	case id.Way != access.Token:
		return false
	}
	whole := *r
	whole.Identity.Limits = nil
	return rules.Decide(&whole, ask).Allowed
}

var verbs = map[access.Action]string{access.Read: "read", access.Create: "create anything", access.Update: "change what a tag names", access.Delete: "delete anything"}

// action is a refusal's detail: what was missing.
type missing struct {
	Action     access.Action  `json:"action"`
	Repository oci.Repository `json:"repository"`
}

func detail(action access.Action, repo oci.Repository) any { return missing{action, repo} }

// immutable refuses to change or delete a tag, whoever asks.
func immutable(pattern, message string) error {
	return &oci.Error{Code: oci.Denied, Message: message, Detail: oci.Field{Field: "immutableTags", Got: pattern}}
}
