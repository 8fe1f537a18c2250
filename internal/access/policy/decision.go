package policy

import "fmt"

// By is what decided.
type By uint8

// What decides.
const (
	NoRule              By = iota // no rule allows it
	NoRules                       // there are no rules: whoever is authenticated may do everything, and everybody where nobody is asked who it is
	Credentials                   // the limits of the credentials
	RepositoryPolicy              // one of policies[] of the glob
	DefaultPolicy                 // defaultPolicy of the glob
	AnonymousPolicy               // anonymousPolicy of the glob
	AdminPolicy                   // adminPolicy
	FalseCondition                // a policy of the glob would allow it, but for a condition
	FalseAdminCondition           // adminPolicy would allow it, but for a condition
)

// Decision is whether something is allowed, and why.
type Decision struct {
	Allowed bool
	By      By
	Glob    string // the glob that counts for the repository; "" when none matches, and where it was not asked
	Policy  int    // index in policies[] of the glob; -1 without
	Group   string // by which the policy applies; "": by the user's name
	// Condition is the expression that was false, the last of several; Message is what its author wants said, to clients as well. Err is why it could not be
	// evaluated, which is for the operator alone.
	Condition, Message string
	Err                error
}

// String says in one line for the operator what decided.
func (d Decision) String() string {
	verdict := "denied"
	if d.Allowed {
		verdict = "allowed"
	}
	return verdict + ": " + d.why()
}

func (d Decision) why() string {
	switch d.By {
	case NoRules:
		if d.Allowed {
			return "there are no rules, so that whoever comes in may do everything"
		}
		return "there are no rules, so that whoever is authenticated may do everything, and nobody else"
	case Credentials:
		if d.Allowed {
			return "the credentials say so, and no rules are asked"
		}
		return "the credentials do not reach that far"
	case RepositoryPolicy:
		return fmt.Sprintf("by %s of %q%s", d.rule(), d.Glob, d.byGroup())
	case DefaultPolicy:
		return fmt.Sprintf("by defaultPolicy of %q, for whoever is authenticated", d.Glob)
	case AnonymousPolicy:
		return fmt.Sprintf("by anonymousPolicy of %q", d.Glob)
	case AdminPolicy:
		return "by adminPolicy" + d.byGroup()
	case FalseCondition, FalseAdminCondition:
		return d.whyFalse()
	}
	if d.Glob == "" {
		return "no glob matches the repository, and adminPolicy does not allow it"
	}
	return fmt.Sprintf("nothing of %q allows it, which is the longest glob that matches, and adminPolicy does not", d.Glob)
}

func (d Decision) rule() string {
	if d.By == FalseAdminCondition {
		return "adminPolicy"
	}
	return fmt.Sprintf("policies[%d]", d.Policy)
}

func (d Decision) byGroup() string {
	if d.Group == "" {
		return ""
	}
	return fmt.Sprintf(", for group %q", d.Group)
}

func (d Decision) whyFalse() string {
	of := ""
	if d.By == FalseCondition {
		of = fmt.Sprintf(" of %q", d.Glob)
	}
	s := fmt.Sprintf("%s%s would allow it%s, but this is false: %s", d.rule(), of, d.byGroup(), d.Condition)
	switch {
	case d.Err != nil:
		s += fmt.Sprintf(" (it cannot be evaluated: %v)", d.Err)
	case d.Message != "":
		s += fmt.Sprintf(" (%q)", d.Message)
	}
	return s
}
