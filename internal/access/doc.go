// Package access holds the words that authentication, rules and enforcement share: who makes a request, from where, and what it may be asked to do.
// It decides nothing. Package authn finds out who it is, package policy decides, package guard enforces.
package access
