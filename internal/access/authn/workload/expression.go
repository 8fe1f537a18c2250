package workload

// Result is what an expression must give.
type Result uint8

// The results.
const (
	Any   Result = iota // what only other expressions can read
	Bool                // true or false
	Text                // a string
	Texts               // a list of strings
)

// Expression is compiled. Each method is for expressions that were compiled to give its result. Errors: any way in which it cannot be evaluated: a claim that is
// not there, another type, too much work. Safe for concurrent use.
type Expression interface {
	Bool(variables map[string]any) (bool, error)
	Text(variables map[string]any) (string, error)
	Texts(variables map[string]any) ([]string, error)
	Value(variables map[string]any) (any, error)
}

// Compile compiles an expression over the variables claims and vars, which are maps with texts for keys.
type Compile func(expression string, result Result) (Expression, error)
