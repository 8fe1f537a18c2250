package workload

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
)

// maxCost bounds the work of one evaluation, in CEL's units; maxExpression is how long an expression may be, in bytes.
const (
	maxCost       = 100_000
	maxExpression = 16 << 10
)

var errType = errors.New("the result has another type")

// CEL is a Compile for the Common Expression Language, in the dialect of zot's file.
func CEL(expression string, result Result) (Expression, error) {
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("workload: compile: %d bytes, at most %d", len(expression), maxExpression)
	}
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)), cel.Variable("vars", cel.MapType(cel.StringType, cel.DynType)),
	)
	if err != nil {
		return nil, fmt.Errorf("workload: compile: %w", err)
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("workload: compile: %w", err)
	}
	want := map[Result]*cel.Type{Bool: cel.BoolType, Text: cel.StringType, Texts: cel.ListType(cel.StringType)}[result]
	if want != nil && !ast.OutputType().IsEquivalentType(cel.DynType) && !want.IsAssignableType(ast.OutputType()) {
		return nil, fmt.Errorf("workload: compile: it gives %s, and not %s", ast.OutputType(), want)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("workload: compile: %w", err)
	}
	return compiled{program}, nil
}

type compiled struct{ program cel.Program }

func (c compiled) eval(variables map[string]any) (ref.Val, error) {
	value, _, err := c.program.Eval(variables)
	return value, err
}

func (c compiled) Bool(variables map[string]any) (bool, error) {
	value, err := c.eval(variables)
	if b, ok := value.(types.Bool); err == nil && ok {
		return bool(b), nil
	}
	return false, errors.Join(errType, err)
}

func (c compiled) Text(variables map[string]any) (string, error) {
	value, err := c.eval(variables)
	if s, ok := value.(types.String); err == nil && ok {
		return string(s), nil
	}
	return "", errors.Join(errType, err)
}

func (c compiled) Texts(variables map[string]any) ([]string, error) {
	value, err := c.eval(variables)
	if err != nil {
		return nil, err
	}
	native, err := value.ConvertToNative(reflect.TypeFor[[]string]())
	if list, ok := native.([]string); err == nil && ok {
		return list, nil
	}
	return nil, errors.Join(errType, err)
}

func (c compiled) Value(variables map[string]any) (any, error) { return c.eval(variables) }
