// Package issue is the registry's own token endpoint, and checks what it gave: clients bring a password once and then a token that lives for minutes, so that
// checking a password, which is slow on purpose, is not paid with every request. It speaks the token flow of CNCF distribution: GET, and OAuth2 by POST.
//
// Tokens are JWTs, signed with Ed25519 under a key that every replica derives from the cluster's secret: each takes what the others gave, and nothing of a token
// is stored. A token says who it is for, and which of the actions that were asked for the rules allow; never more. It dies with what it was given for: see
// Issuer.Verify. It is not for tokens of other servers: those are in packages jwt and workload.
//
// Start with issue.go.
package issue
