package workload

import (
	"errors"
	"fmt"
)

// Mapping makes an identity of claims. All expressions see claims, and vars with the variables before them.
type Mapping struct {
	Variables   []Variable
	Validations []Validation
	Username    string // gives a text; "": issuer and subject
	Groups      string // gives a list of texts; "": none
}

// Variable is a name for the value of an expression.
type Variable struct{ Name, Expression string }

// Validation must be true. Message is for the log.
type Validation struct{ Expression, Message string }

// defaultUsername is zot's.
const defaultUsername = "claims.iss + '/' + claims.sub"

// The longest names and most groups that an identity may have.
const (
	maxName   = 1024
	maxGroups = 1000
)

type mapping struct {
	variables   []variable
	validations []validation
	username    Expression
	groups      Expression // nil: none
}

type variable struct {
	name string
	Expression
}

type validation struct {
	message string
	Expression
}

// compile reports all expressions that cannot be compiled at once.
func (m Mapping) compile(compile Compile) (*mapping, error) {
	var errs []error
	expression := func(what, text string, result Result) Expression {
		e, err := compile(text, result)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return e
	}
	out := &mapping{}
	for i, v := range m.Variables {
		if v.Name == "" {
			errs = append(errs, fmt.Errorf("variables[%d] has no name", i))
		}
		out.variables = append(out.variables, variable{v.Name, expression(fmt.Sprintf("variables[%d]", i), v.Expression, Any)})
	}
	for i, v := range m.Validations {
		if v.Message == "" {
			errs = append(errs, fmt.Errorf("validations[%d] has no message", i))
		}
		out.validations = append(out.validations, validation{v.Message, expression(fmt.Sprintf("validations[%d]", i), v.Expression, Bool)})
	}
	if m.Username == "" {
		m.Username = defaultUsername
	}
	out.username = expression("username", m.Username, Text)
	if m.Groups != "" {
		out.groups = expression("groups", m.Groups, Texts)
	}
	return out, errors.Join(errs...)
}

// apply returns name and groups. Errors: a claim that is missing, a validation that is not true, a name that is none: such a token is nobody's.
func (m *mapping) apply(claims map[string]any) (name string, groups []string, err error) {
	vars := map[string]any{}
	all := map[string]any{"claims": claims, "vars": vars}
	for _, v := range m.variables {
		if vars[v.name], err = v.Value(all); err != nil {
			return "", nil, fmt.Errorf("workload: the variable %s: %w", v.name, err)
		}
	}
	for _, v := range m.validations {
		switch ok, err := v.Bool(all); {
		case err != nil:
			return "", nil, fmt.Errorf("workload: a validation (%s): %w", v.message, err)
		case !ok:
			return "", nil, fmt.Errorf("workload: a validation is not met: %s", v.message)
		}
	}
	if name, err = m.username.Text(all); err != nil {
		return "", nil, fmt.Errorf("workload: the name: %w", err)
	}
	if name == "" || len(name) > maxName {
		return "", nil, fmt.Errorf("workload: the name has %d bytes", len(name))
	}
	if m.groups != nil {
		if groups, err = m.groups.Texts(all); err != nil {
			return "", nil, fmt.Errorf("workload: the groups: %w", err)
		}
	}
	if len(groups) > maxGroups {
		return "", nil, fmt.Errorf("workload: %d groups", len(groups))
	}
	return name, groups, nil
}
