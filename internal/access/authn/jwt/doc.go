// Package jwt takes the tokens of an external token server (http.auth.bearer): JWTs whose claim "access" says what their holder may do, in the form of CNCF
// distribution. As there, and in zot, that server decides: the rules of the registry are not asked. Its key is in a file, which may change while we run.
// It is not for tokens of our own (package issue), nor for those that only say who somebody is (package workload).
//
// Start with bearer.go; keys.go reads the file.
package jwt
