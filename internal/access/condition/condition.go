package condition

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

const (
	// MaxBytes is how long an expression may be.
	MaxBytes = 16 << 10
	// maxCost bounds the work of one evaluation, in CEL's units: some 10 ms, so that nothing needs to be stopped from outside. Nothing that an expression
	// does with a request's fields comes near it, but for nested loops over long claims.
	maxCost = 100_000
)

// Result is what an expression must give.
type Result uint8

// The results.
const (
	Any   Result = iota // any value: a text is a string, a number int64, uint64 or float64, a list or map what only other expressions can read
	Bool                // true or false
	Text                // a string
	Texts               // a list of strings
)

// String is the result's name in messages.
func (r Result) String() string {
	return [...]string{"any value", "true or false", "a text", "a list of texts"}[r]
}

// Error is an expression that cannot be compiled. Line and Column begin at 1 and are places in the expression; 0 is unknown.
type Error struct {
	Line, Column int
	Message      string
}

// Error says the place and the message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return "condition: compile: " + e.Message
	}
	return fmt.Sprintf("condition: compile: %d:%d: %s", e.Line, e.Column, e.Message)
}

// ErrType is the cause of an evaluation whose result is of another type than Compile was told.
var ErrType = errors.New("the result has another type")

// Expression is compiled. It is immutable, and safe for concurrent use.
type Expression struct {
	text    string
	result  Result
	program cel.Program
}

// Compile compiles an expression that must give a result, over variables that hold maps with texts for keys: `req`, or `claims` and `vars`. What
// is in the maps is known only when it is evaluated. Errors: *Error.
func Compile(expression string, result Result, variables ...string) (*Expression, error) {
	if len(expression) > MaxBytes {
		return nil, &Error{Message: fmt.Sprintf("the expression has %d bytes, of at most %d", len(expression), MaxBytes)}
	}
	options := []cel.EnvOption{
		// The dialect is that of zot's file: what was written for it means the same here.
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		ext.Encoders(),
	}
	for _, name := range variables {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, firstIssue(issues)
	}
	if want := celType(result); want != nil && !ast.OutputType().IsEquivalentType(cel.DynType) && !want.IsAssignableType(ast.OutputType()) {
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the expression gives %s, and must give %s", ast.OutputType(), result)}
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	return &Expression{text: expression, result: result, program: program}, nil
}

// firstIssue is the first of what the compiler complains of: the others often follow from it.
func firstIssue(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Message: issues.Err().Error()}
	}
	first := all[0]
	return &Error{Line: first.Location.Line(), Column: max(first.Location.Column()+1, 1), Message: first.Message}
}

// celType is the type of a result; nil: any.
func celType(r Result) *cel.Type {
	switch r {
	case Bool:
		return cel.BoolType
	case Text:
		return cel.StringType
	case Texts:
		return cel.ListType(cel.StringType)
	}
	return nil
}

// String returns the expression as it was written.
func (e *Expression) String() string { return e.text }

// Bool evaluates an expression whose result is Bool. Errors: any way in which it cannot be evaluated: a field that is not there, a value of the
// wrong type, too much work. It never panics.
func (e *Expression) Bool(variables map[string]any) (bool, error) {
	return as[bool](e.eval(variables))
}

// Text is Bool for an expression whose result is Text.
func (e *Expression) Text(variables map[string]any) (string, error) {
	return as[string](e.eval(variables))
}

// Texts is Bool for an expression whose result is Texts.
func (e *Expression) Texts(variables map[string]any) ([]string, error) {
	return as[[]string](e.eval(variables))
}

// Value is Bool for an expression with any result. The value may be a variable of other expressions.
func (e *Expression) Value(variables map[string]any) (any, error) {
	return e.eval(variables)
}

func as[T any](value any, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("condition: evaluate: %w: %T", ErrType, value)
	}
	return typed, nil
}

// eval evaluates. A library's panic is an error: it recovers from its own.
func (e *Expression) eval(variables map[string]any) (any, error) {
	value, _, err := e.program.Eval(variables)
	if err != nil {
		return nil, fmt.Errorf("condition: evaluate: %w", err)
	}
	native := reflect.TypeFor[any]()
	switch e.result {
	case Bool:
		if value.Type() == types.BoolType {
			native = reflect.TypeFor[bool]()
		}
	case Text:
		if value.Type() == types.StringType {
			native = reflect.TypeFor[string]()
		}
	case Texts:
		if value.Type() == types.ListType {
			native = reflect.TypeFor[[]string]()
		}
	}
	if native == reflect.TypeFor[any]() {
		return value.Value(), nil
	}
	out, err := value.ConvertToNative(native)
	if err != nil {
		return nil, fmt.Errorf("condition: evaluate: %w: %w", ErrType, err)
	}
	return out, nil
}
