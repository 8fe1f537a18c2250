// Package condition compiles and evaluates expressions of CEL (the Common Expression Language): the conditions of access control, and the
// mapping of an identity token's claims. It is the only package that imports a CEL library. It knows neither rules nor tokens: whoever asks
// gives the variables and says what the result must be. Start at Compile.
package condition
