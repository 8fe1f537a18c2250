// Package call is what a history is made of: each request that a client made, what it was answered, and when.
// A history is written as one line of JSON for each call (history.jsonl) and holds all that package judge needs,
// so that it can be judged again later.
package call
