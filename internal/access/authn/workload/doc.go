// Package workload takes identity tokens of OpenID Connect (http.auth.bearer.oidc): a job of a CI system or a pod of Kubernetes shows the token that its platform
// gives it, and needs no password here. A token says who its holder is, by expressions over its claims that the operator writes; what he may do the rules say.
// Browsers do not log in here, and tokens that hold rights are in package jwt.
//
// Start with issuers.go; keys.go fetches an issuer's keys, claims.go makes an identity of claims.
package workload
