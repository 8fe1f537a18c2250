package workload

import "holdfast/internal/access/condition"

// CEL is a Compile for the Common Expression Language, in the dialect of zot's file.
func CEL(expression string, result Result) (Expression, error) {
	e, err := condition.Compile(expression, condition.Result(result), "claims", "vars")
	if err != nil {
		return nil, err
	}
	return e, nil
}
