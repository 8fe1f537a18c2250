// Package measure loads the subjects of a row in rounds, one subject after the other and in another order in each round, and makes a line
// of what each did: medians over the rounds, and quantiles over all operations.
package measure
